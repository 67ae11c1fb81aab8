//! Names of files that a model gives, and whether they stay in the model's folder.

use std::path::{Component, Path, PathBuf};

use crate::error::FileError;

/// The path of the file that a model names `location`, relative to `folder`.
///
/// The rule, for external data of a graph as for the graph that a genai_config.json names:
///
/// 1. The name itself stays inside: it is relative, uses `/` alone and has no `..`. It came with the download, so it is
///    the part that an attacker writes.
/// 2. Folders on the way must not lead out: the folder that the file is in, with every link followed, lies in
///    `folder`, with every link followed.
/// 3. The file itself may be a link, to anywhere. The cache of Hugging Face's hub keeps every file of a snapshot as
///    a link to `../../blobs/…`, and refusing that would refuse what people have. Such a link was made by a program
///    that runs as the user; a name inside a download cannot make one. An archive that was unpacked can hold links,
///    and one of those can make a file of the user be read as weights: it must be a regular file of sufficient size,
///    and its bytes are used as numbers and shown nowhere.
///
/// The file need not exist, but the folder it is in must.
pub(crate) fn inside(folder: &Path, location: &str) -> Result<PathBuf, FileError> {
    let outside = |reason| FileError::OutsideFolder { location: location.into(), folder: folder.into(), reason };
    if location.contains(['\\', '\0', ':']) {
        return Err(outside("names of files here hold no backslash, colon or zero"));
    }
    let mut path = folder.to_path_buf();
    for component in Path::new(location).components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::ParentDir => return Err(outside("it has `..` in it")),
            Component::RootDir | Component::Prefix(_) => return Err(outside("it is absolute")),
        }
    }
    if path == folder {
        return Err(outside("it names no file"));
    }
    let real_folder = real(folder)?;
    let real_parent = real(path.parent().unwrap_or(folder))?;
    if !real_parent.starts_with(real_folder) {
        return Err(outside("a folder on the way is a link that leads elsewhere"));
    }
    Ok(path)
}

fn real(folder: &Path) -> Result<PathBuf, FileError> {
    folder.canonicalize().map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => FileError::Missing { path: folder.into() },
        _ => FileError::Unreadable { path: folder.into(), source },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_the_folder_are_refused() {
        struct Case(&'static str, Option<&'static str>);
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("weights")).unwrap();
        for Case(location, inside_as) in [
            Case("model.onnx.data", Some("model.onnx.data")),
            Case("./model.onnx_data_1", Some("model.onnx_data_1")),
            Case("weights/part 1", Some("weights/part 1")),
            Case("..model", Some("..model")),
            Case("", None),
            Case(".", None),
            Case("..", None),
            Case("../model.onnx.data", None),
            Case("weights/../../secret", None),
            Case("weights/../model.onnx.data", None),
            Case("/etc/passwd", None),
            Case("//server/share", None),
            Case("C:\\data", None),
            Case("C:data", None),
            Case("weights\\part", None),
            Case("part\0", None),
        ] {
            match (inside(folder.path(), location), inside_as) {
                (Ok(path), Some(name)) => assert_eq!(path, folder.path().join(name)),
                (Err(FileError::OutsideFolder { location: named, .. }), None) => assert_eq!(named, location),
                (outcome, _) => panic!("{location:?}: {outcome:?}"),
            }
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_a_missing_part() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(inside(folder.path(), "absent/part"), Err(FileError::Missing { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_may_be_a_link_and_a_folder_on_the_way_may_not_lead_out() {
        use std::os::unix::fs::symlink;
        let (hub, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(hub.path().join("blob"), "x").unwrap();
        symlink(hub.path().join("blob"), folder.path().join("model.onnx.data")).unwrap();
        symlink(hub.path(), folder.path().join("way")).unwrap();
        std::fs::create_dir(folder.path().join("real")).unwrap();
        symlink(folder.path().join("real"), folder.path().join("alias")).unwrap();

        assert!(inside(folder.path(), "model.onnx.data").is_ok());
        assert!(inside(folder.path(), "alias/part").is_ok());
        assert!(matches!(inside(folder.path(), "way/blob"), Err(FileError::OutsideFolder { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn the_folder_itself_may_be_reached_by_a_link() {
        let (place, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let link = place.path().join("model");
        std::os::unix::fs::symlink(target.path(), &link).unwrap();
        assert_eq!(inside(&link, "model.onnx.data").unwrap(), link.join("model.onnx.data"));
    }
}
