//! From what a user calls a model to its folder.

use crate::Error;
use etcetera::BaseStrategy;
use kinglet_bundle::OtherFormat;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The model that ships with Kinglet, and that is taken where none is named.
pub const DEFAULT_MODEL: &str = "goldcrest";

/// The environment variable with further folders of models.
const VARIABLE: &str = "KINGLET_MODELS";
/// Name of the folder of models beside the binary and in the repository.
const MODELS: &str = "models";

/// Where names are looked up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    /// `KINGLET_MODELS`: one folder, or several separated as in `PATH`.
    pub(crate) variable: Option<OsString>,
    /// The user's data directory.
    pub(crate) data: Option<PathBuf>,
    /// The folder of the running binary.
    pub(crate) binary: Option<PathBuf>,
    /// The working directory.
    pub(crate) working: Option<PathBuf>,
}

impl Places {
    /// Those of this process.
    pub(crate) fn of_process() -> Places {
        Places {
            variable: std::env::var_os(VARIABLE).filter(|value| !value.is_empty()),
            data: etcetera::base_strategy::choose_native_strategy().ok().map(|base| base.data_dir()),
            binary: std::env::current_exe().ok().and_then(|binary| binary.parent().map(Path::to_path_buf)),
            working: std::env::current_dir().ok(),
        }
    }

    /// The folders of models that the user keeps: those of the variable, and that in the data directory.
    pub(crate) fn of_user(&self) -> Vec<PathBuf> {
        let mut folders: Vec<PathBuf> = self.variable.iter().flat_map(std::env::split_paths).collect();
        folders.extend(self.data.iter().map(|data| data.join("kinglet").join(MODELS)));
        folders
    }

    /// All folders of models, in the order in which they are looked at, each once.
    pub(crate) fn all(&self) -> Vec<PathBuf> {
        let above = |start: &Option<PathBuf>| -> Vec<PathBuf> {
            start.iter().flat_map(|start| start.ancestors()).map(|folder| folder.join(MODELS)).collect()
        };
        let mut once: Vec<PathBuf> = Vec::new();
        for folder in [self.of_user(), above(&self.binary), above(&self.working)].into_iter().flatten() {
            if !once.contains(&folder) {
                once.push(folder);
            }
        }
        once
    }

    /// The folder of a model that is given as a path or by name. What exists as a path, or can only be one, is taken as it
    /// stands, and whether it holds a model is for the one who opens it to say.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a name that leads nowhere, with all the places that were looked at.
    pub(crate) fn find(&self, given: &Path) -> Result<PathBuf, Error> {
        if given.as_os_str().is_empty() {
            return Err(Error::invalid("the model has no name; give a folder or the name of a model"));
        }
        if given.exists() || !is_name(given) || OtherFormat::of(given).is_some() {
            return Ok(given.into());
        }
        let looked: Vec<PathBuf> = self.all().into_iter().map(|folder| folder.join(given)).collect();
        match looked.iter().find(|folder| folder.is_dir()) {
            Some(folder) => Ok(folder.clone()),
            None => Err(Error::NotFound { message: not_found(given, &looked), looked }),
        }
    }
}

/// Whether it could be a model's name: one part, no path.
pub(crate) fn is_name(given: &Path) -> bool {
    let separated = given.to_string_lossy().contains(std::path::is_separator);
    !separated && given.file_name() == Some(given.as_os_str())
}

fn not_found(name: &Path, looked: &[PathBuf]) -> String {
    let places: Vec<String> = looked.iter().map(|folder| format!("`{}`", folder.display())).collect();
    format!(
        "there is no model `{}`: it is no folder here, and none of these exists: {}; give the model's folder, or set {VARIABLE} to the folder that holds it; docs/models.md of Kinglet says how to get a model",
        name.display(),
        places.join(", "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

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

        fn model(&self, path: &str) -> PathBuf {
            fs::create_dir_all(self.at(path)).unwrap();
            self.at(path)
        }

        fn places(&self) -> Places {
            Places {
                variable: Some(std::env::join_paths([self.at("first"), self.at("second")]).unwrap()),
                data: Some(self.at("data")),
                binary: Some(self.at("repository/target/release")),
                working: Some(self.at("work/deep")),
            }
        }
    }

    #[test]
    fn names_are_looked_up_in_order() {
        let house = House::new();
        // From the last place to the first: each next one wins.
        for path in [
            "work/models/wren",
            "repository/models/wren",
            "repository/target/release/models/wren",
            "data/kinglet/models/wren",
            "second/wren",
            "first/wren",
        ] {
            let folder = house.model(path);
            assert_eq!(house.places().find("wren".as_ref()).unwrap(), folder, "{path}");
        }
    }

    #[test]
    fn paths_are_taken_as_they_stand() {
        let house = House::new();
        house.model("first/wren");
        let absent = house.at("absent/wren");
        for given in
            [absent.as_path(), "./wren".as_ref(), "wren/".as_ref(), "..".as_ref(), "a/wren".as_ref(), "wren.gguf".as_ref()]
        {
            assert_eq!(house.places().find(given).unwrap(), given, "{given:?}");
        }
        let here = house.model("here");
        assert_eq!(house.places().find(&here).unwrap(), here);
    }

    #[test]
    fn a_name_that_leads_nowhere_lists_where_it_was_looked_for() {
        let house = House::new();
        let error = house.places().find("wren".as_ref()).unwrap_err();
        let Error::NotFound { looked, message } = &error else { panic!("{error}") };
        for place in ["first/wren", "second/wren", "data/kinglet/models/wren", "repository/models/wren", "work/models/wren"] {
            assert!(looked.contains(&house.at(place)), "{place}: {looked:?}");
            assert!(message.contains(&house.at(place).display().to_string()), "{place}: {message}");
        }
        assert!(message.contains("KINGLET_MODELS"), "{message}");
    }

    #[test]
    fn no_place_and_no_name_are_errors_too() {
        assert!(matches!(Places::default().find("wren-of-no-house".as_ref()), Err(Error::NotFound { .. })));
        assert!(matches!(Places::default().find("".as_ref()), Err(Error::InvalidRequest(_))));
    }
}
