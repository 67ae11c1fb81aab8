//! How a caller says in what way models are to be opened.

use crate::settings::Settings;
use crate::system::{System, SystemPolicy};
use crate::{Bytes, Engine, Error, Kinglet, PrefixCache, Provider};

use kinglet_engine::{Threads, WeightStorage};
use kinglet_system::{Host, SystemModel};
use std::path::PathBuf;
use std::sync::Arc;

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
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Builder {
    settings: Settings,
}

impl Builder {
    /// Threads that a model computes on. The default is what suits the machine: as many as it has cores that are free for this
    /// process, or fewer where some of them are slower or shared and a short measurement finds that they do not help.
    pub fn threads(mut self, threads: Threads) -> Builder {
        self.settings.threads = threads;
        self
    }

    /// Bytes that a model may take: weights, keys and values, and scratch. There is no limit by default. A model that would
    /// take more gets room for fewer sequences at once, then for a smaller context ([`Model::report`](crate::Model::report) says so),
    /// and is refused with [`Error::OutOfMemory`] below a context of 128.
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

    /// Saves prefixes of prompts, such as a session's instructions, so that they need not be computed again, also after a
    /// restart; see [`PrefixCache`]. By default nothing is saved.
    pub fn prefix_cache(mut self, cache: PrefixCache) -> Builder {
        self.settings.prefix_cache = Some(cache);
        self
    }

    /// Folder of prepacked weights: [`Model::prepare`](crate::Model::prepare) saves them, and whoever opens the model with this folder
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
