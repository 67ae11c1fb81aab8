//! The one place where engines, budgets and defaults are put together.

use crate::find::Places;
use crate::local_model::LocalModel;
use crate::probe::Candidate;
use crate::system::{System, SystemPolicy};
use crate::{Bytes, EngineRefusal, Error, Model, ModelReport, PrefixCache, Provider};
use kinglet_bundle::{Bundle, FileRange, OpenOptions};
use kinglet_engine::{Threads, WeightStorage};
use kinglet_system::{Host, SystemModel};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Which engine runs models.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Engine {
    /// The fastest by the record of a probe, where there is one ([`Builder::probe_records`]); else the first that runs the
    /// model: the embedded one, then ONNX Runtime.
    #[default]
    Auto,
    /// The embedded one: Kinglet's kernels, run by tract.
    Tract,
    /// ONNX Runtime, whose library is looked for when it is first needed; with the feature `ort`.
    Ort,
}

impl Engine {
    /// The engines that this build can run, by their names.
    pub const AVAILABLE: &'static [&'static str] = if cfg!(feature = "ort") { &["tract", "ort"] } else { &["tract"] };
}

/// How models are opened.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) threads: Threads,
    /// What suits the machine, once it was asked for.
    suitable_threads: Arc<OnceLock<usize>>,
    pub(crate) memory_budget: Option<Bytes>,
    pub(crate) context: Option<usize>,
    pub(crate) max_sequences: usize,
    pub(crate) engine: Engine,
    /// The library of ONNX Runtime, where the caller knows it.
    pub(crate) onnxruntime: Option<PathBuf>,
    /// The execution provider of ONNX Runtime, where the caller names one.
    pub(crate) provider: Option<Provider>,
    /// Where records of probes are kept.
    pub(crate) probe_records: Option<PathBuf>,
    pub(crate) variant: Option<String>,
    pub(crate) exact: bool,
    pub(crate) weights: WeightStorage,
    pub(crate) end_tokens: bool,
    pub(crate) prefix_cache: Option<PrefixCache>,
    pub(crate) prepared_weights: Option<PathBuf>,
    /// Whether weights that are prepared are saved in that folder.
    pub(crate) save_prepared: bool,
    /// The system's model, where it may be used.
    pub(crate) system: Option<System>,
}

impl Settings {
    /// The threads that a model computes on, the same for all models that these settings open.
    pub(crate) fn thread_count(&self) -> usize {
        match self.threads {
            Threads::Auto => *self.suitable_threads.get_or_init(kinglet_kernels::suitable_threads),
            Threads::Exactly(threads) => threads,
        }
    }
}

/// Says how models are to be opened; every part of it has a default.
///
/// ```
/// use kinglet::{Bytes, Engine, Kinglet, Threads};
/// let kinglet = Kinglet::builder()
///     .threads(Threads::Auto)
///     .memory_budget(Bytes::mib(600))
///     .context(2048)
///     .engine(Engine::Auto)
///     .build()?;
/// # Ok::<(), kinglet::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    settings: Settings,
}

impl Default for Builder {
    fn default() -> Builder {
        let settings = Settings {
            threads: Threads::Auto,
            suitable_threads: Arc::default(),
            memory_budget: None,
            context: None,
            max_sequences: 8,
            engine: Engine::Auto,
            onnxruntime: None,
            provider: None,
            probe_records: None,
            variant: None,
            exact: false,
            weights: WeightStorage::Auto,
            end_tokens: true,
            prefix_cache: None,
            prepared_weights: None,
            save_prepared: true,
            system: None,
        };
        Builder { settings }
    }
}

impl Builder {
    /// Threads that a model computes on. The default is what suits the machine: as many as it has cores that are free for this
    /// process, or fewer where some of them are slower or shared and a short measurement finds that they do not help.
    pub fn threads(mut self, threads: Threads) -> Builder {
        self.settings.threads = threads;
        self
    }

    /// Bytes that a model may take: weights, keys and values, and scratch. There is no limit by default. A model that would
    /// take more gets room for fewer parallel sequences, then for a smaller context ([`Model::report`] says so), and is
    /// refused with [`Error::OutOfMemory`] below a context of 128.
    pub fn memory_budget(mut self, budget: Bytes) -> Builder {
        self.settings.memory_budget = Some(budget);
        self
    }

    /// Positions that one conversation may hold. The default is 2,048, or what the model was made for if that is less.
    pub fn context(mut self, positions: usize) -> Builder {
        self.settings.context = Some(positions);
        self
    }

    /// Full conversations that there is room for at once; the default is 8. Memory is taken as they grow.
    pub fn max_sequences(mut self, sequences: usize) -> Builder {
        self.settings.max_sequences = sequences;
        self
    }

    /// The engine; by default the fastest by the record of a probe, or without one the first that runs the model, the embedded one
    /// before ONNX Runtime. A model keeps the engine that opened it.
    pub fn engine(mut self, engine: Engine) -> Builder {
        self.settings.engine = engine;
        self
    }

    /// The library of ONNX Runtime, for an application that brings its own. Otherwise it is looked for: as `ORT_DYLIB_PATH` says,
    /// beside the executable, and where the system keeps libraries; never in or around a model's folder, since what lies there came
    /// with a download. A process loads one only.
    pub fn onnxruntime(mut self, library: impl Into<PathBuf>) -> Builder {
        self.settings.onnxruntime = Some(library.into());
        self
    }

    /// The execution provider of ONNX Runtime; naming one names that engine. By default the CPU, or with [`Engine::Auto`] what the
    /// record of a probe says. One that the library was not built with, or that refuses the machine, is [`Error::Unsupported`] when
    /// a model is opened.
    pub fn provider(mut self, provider: Provider) -> Builder {
        self.settings.provider = Some(provider);
        self
    }

    /// Where the records of probes are kept: [`Kinglet::probe`] writes one for each model, and [`Engine::Auto`] goes by it. A
    /// record of another version of Kinglet or ONNX Runtime, other files of the model or another machine is not used. By default
    /// there is no such folder.
    pub fn probe_records(mut self, folder: impl Into<PathBuf>) -> Builder {
        self.settings.probe_records = Some(folder.into());
        self
    }

    /// Which of several graphs in a model's folder to open: a name such as `model_q4`, its end (`q4`) or a precision
    /// (`int8`). By default the smallest precision.
    pub fn variant(mut self, variant: impl Into<String>) -> Builder {
        self.settings.variant = Some(variant.into());
        self
    }

    /// Multiplies quantised weights with float32 activations instead of int8 ones: exact, and several times slower.
    pub fn exact(mut self, exact: bool) -> Builder {
        self.settings.exact = exact;
        self
    }

    /// Where quantised weights are read from; by default from memory of their own, prepacked before the first step, where the
    /// machine has room for that. In place, from the mapped files, a model is ready at once and slower.
    pub fn weights(mut self, storage: WeightStorage) -> Builder {
        self.settings.weights = storage;
        self
    }

    /// Whether the tokens that the model's files name end an answer, which is the default. Measurements switch it off to
    /// have answers of a known length.
    pub fn end_tokens(mut self, end: bool) -> Builder {
        self.settings.end_tokens = end;
        self
    }

    /// Saves the beginnings of prompts, such as a session's instructions, so that they need not be computed again, also after a
    /// restart; see [`PrefixCache`]. By default nothing is saved.
    pub fn prefix_cache(mut self, cache: PrefixCache) -> Builder {
        self.settings.prefix_cache = Some(cache);
        self
    }

    /// Keeps prepacked weights in this folder: [`Model::prepare`] saves them, and whoever opens the model with this folder
    /// later is ready at once. They are mapped from there, so that the system can take their memory back and processes share it,
    /// and take as much room on the disk as the model's own. An application calls `prepare` when it installs a model. By default
    /// nothing is saved, and weights are prepacked whenever a model is first used. It is for [`WeightStorage::Auto`] alone.
    pub fn prepared_weights(mut self, folder: impl Into<PathBuf>) -> Builder {
        self.settings.prepared_weights = Some(folder.into());
        self.settings.save_prepared = true;
        self
    }

    /// As [`prepared_weights`](Self::prepared_weights), but only weights that are in the folder already are used, and none are saved
    /// there.
    pub fn use_prepared_weights(mut self, folder: impl Into<PathBuf>) -> Builder {
        self.settings.prepared_weights = Some(folder.into());
        self.settings.save_prepared = false;
        self
    }

    /// A model that the operating system brings, as the host app gives it, and when it is asked; see [`SystemModel`]. By default
    /// there is none.
    ///
    /// ```
    /// use kinglet::{Kinglet, SystemModel, SystemPolicy};
    /// use std::sync::Arc;
    ///
    /// # fn of_the_app() -> Arc<dyn SystemModel> { Arc::new(kinglet::fake_system::FakeSystemModel::saying(["Hello", "!"])) }
    /// let system: Arc<dyn SystemModel> = of_the_app();
    /// let model = Kinglet::builder().system_model(system, SystemPolicy::Prefer).build()?.open("goldcrest")?;
    /// let answer = model.session(Default::default())?.respond("Hi!")?.finish()?;
    /// assert_eq!((answer.text.as_str(), answer.usage.engine.as_str()), ("Hello!", "system:fake"));
    /// # Ok::<(), kinglet::Error>(())
    /// ```
    pub fn system_model(mut self, model: Arc<dyn SystemModel>, policy: SystemPolicy) -> Builder {
        self.settings.system = (policy != SystemPolicy::Never).then(|| System::new(Host::new(model), policy));
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for a context, a number of sequences, threads or a prefix cache of 0, and for a provider beside
    /// another engine than ONNX Runtime; [`Error::Unsupported`] for an engine that this build does not have.
    pub fn build(self) -> Result<Kinglet, Error> {
        let Settings { threads, context, max_sequences, engine, provider, ref prefix_cache, .. } = self.settings;
        let zeros = [
            ("context", context == Some(0)),
            ("number of threads", threads == Threads::Exactly(0)),
            ("number of sequences at once", max_sequences == 0),
            ("size of the prefix cache", prefix_cache.as_ref().is_some_and(|cache| cache.max_bytes.0 == 0)),
        ];
        if let Some((what, _)) = zeros.iter().find(|(_, zero)| *zero) {
            return Err(Error::invalid(format!("the {what} is 0; it must be at least 1")));
        }
        if let (Engine::Tract, Some(provider)) = (engine, provider) {
            let message = "is one of ONNX Runtime; leave it out, or take the engine `ort`";
            return Err(Error::invalid(format!("the provider `{provider}` {message}")));
        }
        if (engine == Engine::Ort || provider.is_some()) && !Engine::AVAILABLE.contains(&Engine::Ort.name()) {
            let message =
                "the engine `ort` (ONNX Runtime) is not part of this build; use `tract`, or `auto` for the best there is";
            return Err(Error::unsupported(message));
        }
        Ok(Kinglet { settings: Arc::new(self.settings) })
    }
}

/// Opens models.
#[derive(Clone, Debug)]
pub struct Kinglet {
    settings: Arc<Settings>,
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
            Err(error) if system.may_stand_in(&error) => {
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

    /// What is known of a model, also of one that this build does not run: the report then says why.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_and_absent_engines_are_refused_at_the_door() {
        for (builder, word) in [
            (Kinglet::builder().context(0), "context"),
            (Kinglet::builder().threads(Threads::Exactly(0)), "threads"),
            (Kinglet::builder().max_sequences(0), "sequences at once"),
            (Kinglet::builder().prefix_cache(PrefixCache { max_bytes: Bytes(0), ..PrefixCache::new("a") }), "prefix cache"),
        ] {
            let error = builder.build().unwrap_err();
            assert!(matches!(error, Error::InvalidRequest(_)) && error.to_string().contains(word), "{error}");
        }
        let ort = Kinglet::builder().engine(Engine::Ort).build();
        assert_eq!(ort.is_ok(), Engine::AVAILABLE.contains(&"ort"));
        if let Err(error) = ort {
            assert!(matches!(error, Error::Unsupported(_)) && error.to_string().contains("tract"), "{error}");
        }
        assert!(Kinglet::builder().engine(Engine::Tract).build().is_ok());
        for provider in Provider::ALL {
            let error = Kinglet::builder().engine(Engine::Tract).provider(provider).build().unwrap_err();
            assert!(matches!(error, Error::InvalidRequest(_)) && error.to_string().contains(provider.name()), "{error}");
            assert_eq!(Kinglet::builder().provider(provider).build().is_ok(), Engine::AVAILABLE.contains(&"ort"));
        }
    }
}
