//! Opens models by the settings of a builder.

use crate::builder::Builder;
use crate::fallback::stands_in;
use crate::find::Places;
use crate::local_model::LocalModel;
use crate::probe::Candidate;
use crate::settings::Settings;
use crate::system::SystemPolicy;
use crate::{EngineRefusal, Error, Model, ModelReport};
use kinglet_bundle::{Bundle, FileRange, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Opens models.
#[derive(Clone, Debug)]
pub struct Kinglet {
    pub(crate) settings: Arc<Settings>,
}

impl Kinglet {
    /// Begins to say how models are to be opened.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Opens a model: a folder, or a name that is looked up in `KINGLET_MODELS` (one folder of models or several, separated
    /// as in `PATH`), in `kinglet/models` of the user's data directory, and in `models` beside the binary, beside the working
    /// directory, and above either.
    ///
    /// Weights are mapped, not read. The tokenizer is read when it is first needed.
    ///
    /// With [`SystemPolicy::Only`] no folder is looked at. With another policy and a system's model that is there or to come, that
    /// stands in for a folder that cannot be opened, unless the request itself makes no sense.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::BadModel`], [`Error::Unsupported`], [`Error::OutOfMemory`], and
    /// [`Error::InvalidRequest`] for a variant that the folder does not have.
    pub fn open(&self, path_or_name: impl AsRef<Path>) -> Result<Model, Error> {
        self.open_ranges(path_or_name, vec![])
    }

    /// As [`open`](Self::open), with files that lie elsewhere than in the folder: the graph, or what it names as its weights, as ranges
    /// of open files, such as the assets of an application's package. They are mapped from there and nothing is copied; the folder
    /// holds the small files.
    ///
    /// # Errors
    /// As [`open`](Self::open); [`Error::BadModel`] for a range that is not all in its file.
    pub fn open_ranges(&self, path_or_name: impl AsRef<Path>, files: Vec<FileRange>) -> Result<Model, Error> {
        let Some(system) = self.settings.system.clone() else {
            return Ok(Model::new(self.open_local(path_or_name.as_ref(), files)?, None));
        };
        if system.policy == SystemPolicy::Only {
            return Ok(Model::of_system(system, None));
        }
        match self.open_local(path_or_name.as_ref(), files) {
            Ok(local) => Ok(Model::new(local, Some(system))),
            Err(error) if stands_in(&system, &error) => {
                log::info!("the system's model stands in for a folder that cannot be opened: {error}");
                Ok(Model::of_system(system, Some(EngineRefusal { engine: "folder".into(), reason: error.to_string() })))
            }
            Err(error) => Err(error),
        }
    }

    /// Opens the system's model alone, without a folder.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the settings name none, or say that it is never asked.
    pub fn open_system(&self) -> Result<Model, Error> {
        let message = "no system's model may be asked; name one by `Builder::system_model`, with a policy other than `Never`";
        let system = self.settings.system.clone().ok_or_else(|| Error::unsupported(message))?;
        Ok(Model::of_system(system, None))
    }

    fn open_local(&self, path_or_name: &Path, files: Vec<FileRange>) -> Result<LocalModel, Error> {
        LocalModel::open(self.bundle_of_ranges(path_or_name, files)?, &self.settings)
    }

    /// Report on a model, also on one that this build does not run: the report then gives the reason.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::BadModel`], and [`Error::Unsupported`] where not even the folder can be read.
    pub fn inspect(&self, path_or_name: impl AsRef<Path>) -> Result<ModelReport, Error> {
        let bundle = self.bundle(path_or_name.as_ref())?;
        crate::report::inspect(bundle, &self.settings)
    }

    /// The folder that a path or a name stands for, as [`open`](Self::open) finds it.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a name that leads nowhere.
    pub fn find(&self, path_or_name: impl AsRef<Path>) -> Result<PathBuf, Error> {
        Places::of_process().find(path_or_name.as_ref())
    }

    /// How models are opened.
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The same, but models run in one way alone, and end tokens do not end an answer: for measurements.
    pub(crate) fn in_one_way(&self, candidate: Candidate) -> Kinglet {
        let (engine, provider) = (candidate.engine(), candidate.provider());
        let (probe_records, end_tokens, system) = (None, false, None);
        let settings = Settings { engine, provider, probe_records, end_tokens, system, ..(*self.settings).clone() };
        Kinglet { settings: Arc::new(settings) }
    }

    pub(crate) fn bundle(&self, path_or_name: &Path) -> Result<Bundle, Error> {
        self.bundle_of_ranges(path_or_name, vec![])
    }

    fn bundle_of_ranges(&self, path_or_name: &Path, files: Vec<FileRange>) -> Result<Bundle, Error> {
        let folder = self.find(path_or_name)?;
        let options = OpenOptions { variant: self.settings.variant.clone(), files, ..OpenOptions::default() };
        Ok(Bundle::open(&folder, &options)?)
    }
}
