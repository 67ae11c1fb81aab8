//! The models that names lead to, and how one of them is removed.

use crate::find::{Places, is_name};
use crate::{Bytes, Error, Kinglet};
use kinglet_bundle::{Bundle, BundleError, OpenOptions};
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};

/// A model that is found by its name.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FoundModel {
    /// The name: that of its folder.
    pub name: String,
    /// The folder.
    pub folder: PathBuf,
    /// Bytes of all files in it.
    pub bytes: Bytes,
    /// How the folder is laid out, as in [`ModelReport::layout`](crate::ModelReport::layout); `None` where it cannot be read.
    pub layout: Option<String>,
    /// How the weights of the graph that is opened are stored, where that is known.
    pub precision: Option<&'static str>,
    /// Why the folder cannot be opened, in one sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A model's folder that may be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovableModel {
    folder: PathBuf,
    bytes: Bytes,
}

impl Kinglet {
    /// The models in the places that names are looked up in ([`open`](Self::open)), those of each place by name. Of several with one
    /// name, it is the one that the name opens. Folders without a model are left out; no engine is asked whether it runs them.
    pub fn models(&self) -> Vec<FoundModel> {
        models_in(&Places::of_process().all())
    }

    /// The model of that name, to be removed: one in a folder that `KINGLET_MODELS` names, or in `kinglet/models` of the user's data
    /// directory. Nothing is removed yet.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a name that leads nowhere; [`Error::InvalidRequest`] for a path, a model that lies elsewhere, a link,
    /// and a folder that is no model's.
    pub fn removable(&self, name: impl AsRef<Path>) -> Result<RemovableModel, Error> {
        removable(&Places::of_process(), name.as_ref())
    }
}

impl RemovableModel {
    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Bytes of all files in it.
    pub fn bytes(&self) -> Bytes {
        self.bytes
    }

    /// Removes the folder with everything in it. Links in it are removed, and not what they lead to.
    ///
    /// # Errors
    /// [`Error::Failed`] where the system does not let it be removed, or not all of it.
    pub fn remove(self) -> Result<(), Error> {
        fs::remove_dir_all(&self.folder).map_err(|error| {
            let folder = self.folder.display();
            Error::Failed(format!("`{folder}` cannot be removed, or not all of it ({error}); check its permissions").into())
        })
    }
}

fn models_in(places: &[PathBuf]) -> Vec<FoundModel> {
    let mut models: Vec<FoundModel> = Vec::new();
    for place in places {
        let mut folders: Vec<PathBuf> = place.read_dir().into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        folders.sort();
        for folder in folders.into_iter().filter(|folder| folder.is_dir()) {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let known = name.starts_with('.') || models.iter().any(|model| model.name == name);
            models.extend((!known).then(|| found(name, folder)).flatten());
        }
    }
    models
}

/// Layout, precision and problem of a folder; `None` where it holds no model.
fn found(name: String, folder: PathBuf) -> Option<FoundModel> {
    let (layout, precision, problem) = match Bundle::open(&folder, &OpenOptions::default()) {
        Ok(bundle) => (Some(bundle.layout().to_string()), bundle.variant().precision.map(|precision| precision.name()), None),
        Err(error) if holds_none(&error) => return None,
        Err(error) => (None, None, Some(Error::from(error).to_string())),
    };
    let bytes = bytes_in(&folder);
    Some(FoundModel { name, folder, bytes, layout, precision, problem })
}

/// Whether a folder that does not open holds no model at all, rather than a damaged one or one that is not run.
fn holds_none(error: &BundleError) -> bool {
    use BundleError as E;
    matches!(error, E::NotFound { .. } | E::NotAFolder { .. } | E::EmptyFolder { .. } | E::NoModel { .. })
}

/// Bytes of all files in a folder. Folders that are links are not gone into.
fn bytes_in(folder: &Path) -> Bytes {
    let (mut bytes, mut waiting) = (0, vec![folder.to_path_buf()]);
    while let Some(next) = waiting.pop() {
        for entry in next.read_dir().into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => waiting.push(entry.path()),
                Ok(_) => bytes += fs::metadata(entry.path()).ok().filter(fs::Metadata::is_file).map_or(0, |file| file.len()),
                Err(_) => {}
            }
        }
    }
    Bytes(bytes)
}

fn removable(places: &Places, name: &Path) -> Result<RemovableModel, Error> {
    let shown = name.display();
    if !is_name(name) {
        return Err(Error::invalid(format!("`{shown}` is no model's name; a model is removed by the name of its folder")));
    }
    let there = |folder: &PathBuf| fs::symlink_metadata(folder).is_ok();
    let Some(folder) = places.of_user().into_iter().map(|place| place.join(name)).find(there) else {
        let elsewhere = places.find(name)?;
        return Err(Error::invalid(format!(
            "`{}` lies outside the folders that models are removed from, KINGLET_MODELS and the user's data directory; remove it yourself",
            elsewhere.display()
        )));
    };
    let refused = |why: &str| Error::invalid(format!("`{}` {why}", folder.display()));
    if !fs::symlink_metadata(&folder).is_ok_and(|about| about.is_dir()) {
        return Err(refused("is a link or a file, and only folders are removed; remove it yourself"));
    }
    match Bundle::open(&folder, &OpenOptions::default()) {
        Err(error) if holds_none(&error) => Err(refused("holds no model, and only models are removed; remove it yourself")),
        _ => Ok(RemovableModel { bytes: bytes_in(&folder), folder }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of the user's models and one of the working directory's.
    struct House {
        root: tempfile::TempDir,
    }

    impl House {
        fn new() -> House {
            House { root: tempfile::tempdir().unwrap() }
        }

        fn at(&self, path: &str) -> PathBuf {
            self.root.path().join(path)
        }

        fn places(&self) -> Places {
            let (data, working) = (Some(self.at("data")), Some(self.at("work")));
            Places { variable: Some(self.at("mine").into()), data, working, ..Places::default() }
        }

        /// A copy of a tiny model.
        fn model(&self, path: &str) -> PathBuf {
            let (from, to) = (kinglet_testing::repository().join("models/goldens/qwen2/genai"), self.at(path));
            fs::create_dir_all(&to).unwrap();
            for entry in fs::read_dir(from).unwrap() {
                let file = entry.unwrap().path();
                fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
            }
            to
        }
    }

    #[test]
    fn the_models_of_all_places_are_those_that_their_names_open() {
        let house = House::new();
        for path in ["mine/wren", "data/kinglet/models/robin", "work/models/wren", "work/models/owl", "mine/.hidden"] {
            house.model(path);
        }
        fs::create_dir_all(house.at("mine/notes")).unwrap();
        fs::write(house.at("mine/notes/a.txt"), "a").unwrap();
        fs::remove_file(house.at("work/models/owl/model.onnx.data")).unwrap();
        let models = models_in(&house.places().all());
        let names: Vec<&str> = models.iter().map(|model| model.name.as_str()).collect();
        assert_eq!(names, ["wren", "robin", "owl"]);
        let [wren, _, owl] = &models[..] else { panic!("{models:?}") };
        assert_eq!(
            (&wren.folder, wren.layout.as_deref(), &wren.problem),
            (&house.at("mine/wren"), Some("onnxruntime-genai"), &None)
        );
        assert!(wren.bytes.0 > 1000 && wren.precision == Some("float32"), "{wren:?}");
        assert!(owl.problem.as_ref().is_some_and(|problem| problem.contains("model.onnx.data")), "{owl:?}");
    }

    #[test]
    fn a_model_of_the_user_is_removed_by_its_name() {
        let house = House::new();
        let (wren, robin) = (house.model("mine/wren"), house.model("data/kinglet/models/robin"));
        for (name, folder) in [("wren", &wren), ("robin", &robin)] {
            let model = removable(&house.places(), name.as_ref()).unwrap();
            assert!(model.folder() == folder && model.bytes().0 > 1000 && folder.is_dir());
            model.remove().unwrap();
            assert!(!folder.exists());
        }
        assert!(house.at("mine").is_dir() && house.at("data/kinglet/models").is_dir());
        assert!(matches!(removable(&house.places(), "wren".as_ref()), Err(Error::NotFound { .. })));
    }

    #[test]
    fn nothing_else_is_removed() {
        let house = House::new();
        let (elsewhere, wren) = (house.model("work/models/owl"), house.model("mine/wren"));
        fs::create_dir_all(house.at("mine/notes")).unwrap();
        fs::write(house.at("mine/notes/a.txt"), "a").unwrap();
        fs::write(house.at("mine/file"), "a").unwrap();
        let refused = |name: &str, word: &str| {
            let error = removable(&house.places(), name.as_ref()).unwrap_err();
            assert!(matches!(error, Error::InvalidRequest(_)) && error.to_string().contains(word), "{error}");
        };
        refused("owl", "outside");
        refused("notes", "holds no model");
        refused("file", "is a link or a file");
        for path in ["..", ".", "", "mine/wren", "../mine/wren", wren.to_str().unwrap()] {
            refused(path, "no model's name");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&elsewhere, house.at("mine/link")).unwrap();
            refused("link", "is a link");
            // A link inside a model goes, and not what it leads to.
            std::os::unix::fs::symlink(&elsewhere, wren.join("inner")).unwrap();
            removable(&house.places(), "wren".as_ref()).unwrap().remove().unwrap();
        }
        assert!(elsewhere.join("model.onnx").is_file() && house.at("mine/notes/a.txt").is_file());
    }
}
