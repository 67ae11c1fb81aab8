//! From the common options to an opened model.

use crate::arguments::{Common, Engine, Provider, Weights};
use crate::failure::Failure;
use crate::progress::Progress;
use kinglet::{
    Builder, Bytes, CancelHandle, DEFAULT_MODEL, Kinglet, Model, PrefixCache, SamplingOptions, Threads, WeightStorage, one_line,
};
use log::LevelFilter;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Messages of the log go to stderr, a line each.
pub(crate) fn start_logging(common: &Common) {
    let level = match (common.quiet, common.verbose) {
        (true, _) => LevelFilter::Error,
        (false, 0) => LevelFilter::Warn,
        (false, 1) => LevelFilter::Info,
        (false, 2) => LevelFilter::Debug,
        (false, _) => LevelFilter::Trace,
    };
    logger(level).init();
}

/// The log up to a level; of other crates, what warns of something.
fn logger(level: LevelFilter) -> env_logger::Builder {
    let mut logger = env_logger::Builder::new();
    logger.filter_level(LevelFilter::Warn.min(level));
    // tract_onnx warns of every newer version of ONNX's operators. Operators that it is given are admitted by version before.
    logger.filter_module("tract_onnx", LevelFilter::Error);
    for room in [
        "kinglet",
        "kinglet_bundle",
        "kinglet_text",
        "kinglet_tract",
        "kinglet_generate",
        "kinglet_tasks",
        "kinglet_kernels",
        "kinglet_ort",
    ] {
        logger.filter_module(room, level);
    }
    logger.format(|line, record| {
        writeln!(line, "{}: {}", record.level().as_str().to_lowercase(), one_line(&record.args().to_string()))
    });
    logger
}

impl Common {
    /// The model that was named, or the one that ships with Kinglet.
    pub(crate) fn model(&self) -> &Path {
        self.model.as_deref().unwrap_or(Path::new(DEFAULT_MODEL))
    }

    /// How models are to be opened.
    pub(crate) fn builder(&self) -> Builder {
        let engine = match self.engine {
            Engine::Auto => kinglet::Engine::Auto,
            Engine::Tract => kinglet::Engine::Tract,
            Engine::Ort => kinglet::Engine::Ort,
        };
        let weights = match self.weights {
            Weights::Auto => WeightStorage::Auto,
            Weights::InPlace => WeightStorage::InPlace,
            Weights::Packed => WeightStorage::Packed,
        };
        let provider = |provider: Provider| match provider {
            Provider::Cpu => kinglet::Provider::Cpu,
            Provider::CoreMl => kinglet::Provider::CoreMl,
            Provider::Nnapi => kinglet::Provider::Nnapi,
            Provider::Qnn => kinglet::Provider::Qnn,
            Provider::Xnnpack => kinglet::Provider::Xnnpack,
        };
        let mut builder = Kinglet::builder().threads(self.thread_choice()).engine(engine).exact(self.exact).weights(weights);
        if let Some(named) = self.provider {
            builder = builder.provider(provider(named));
        }
        if let Some(folder) = self.probe_records.clone().or_else(kinglet::probe::users_records) {
            builder = builder.probe_records(folder);
        }
        if let Some(budget) = self.memory_budget {
            builder = builder.memory_budget(budget);
        }
        if let Some(context) = self.context {
            builder = builder.context(context as usize);
        }
        if let Some(variant) = &self.variant {
            builder = builder.variant(variant);
        }
        if let Some(folder) = &self.prepared_weights {
            builder = builder.prepared_weights(folder);
        }
        builder
    }

    /// The same options with the model of a verb that takes it as an argument as well.
    ///
    /// # Errors
    /// Wrong usage, where another one is named by --model.
    pub(crate) fn naming(&self, argument: Option<&PathBuf>) -> Result<Common, Failure> {
        match (argument, &self.model) {
            (Some(argument), Some(option)) if argument != option => Err(Failure::usage(format!(
                "two models are named, `{}` and `{}`; name one",
                argument.display(),
                option.display()
            ))),
            (argument, option) => Ok(Common { model: argument.or(option.as_ref()).cloned(), ..self.clone() }),
        }
    }

    /// The model's folder or name, for verbs that have more to do with it than to open it: the shipped one is the one in the command
    /// itself where its folder is nowhere.
    ///
    /// # Errors
    /// A sentence where that cannot be unpacked.
    pub(crate) fn located(&self) -> Result<PathBuf, Failure> {
        #[cfg(feature = "shipped-model")]
        if self.model() == Path::new(DEFAULT_MODEL) && Kinglet::builder().build()?.find(DEFAULT_MODEL).is_err() {
            return crate::shipped::unpacked();
        }
        Ok(self.model().into())
    }

    /// Opens the model and makes it ready for its first answer.
    pub(crate) fn open_ready(&self) -> Result<Model, Failure> {
        self.ready(self.opened(&self.prepared(self.builder()).build()?)?)
    }

    /// Has weights used that are prepared in the user's cache, where no other folder of them is named.
    fn prepared(&self, builder: Builder) -> Builder {
        match kinglet::users_prepared_weights().filter(|folder| self.prepared_weights.is_none() && folder.is_dir()) {
            Some(folder) => builder.use_prepared_weights(folder),
            None => builder,
        }
    }

    /// Opens the model.
    pub(crate) fn open(&self) -> Result<Model, Failure> {
        self.opened(&self.builder().build()?)
    }

    /// As [`open_ready`](Self::open_ready), with a prefix cache where one is named.
    pub(crate) fn open_with(&self, prefix: &Prefix) -> Result<Model, Failure> {
        self.ready(self.opened(&prefix.add_to(self.prepared(self.builder())).build()?)?)
    }

    /// The model that was named.
    fn opened(&self, kinglet: &Kinglet) -> Result<Model, Failure> {
        open(kinglet, self.model())
    }

    /// The model with the one that judges its replies: that which was named, or the shipped one where the model has no bank of its own.
    ///
    /// # Errors
    /// A sentence where the one that was named cannot be opened or cannot judge.
    pub(crate) fn judged(&self, model: Model, named: Option<&Path>) -> Result<Model, Failure> {
        if named == Some(Path::new("none")) || (named.is_none() && model.has_bank()) {
            return Ok(model);
        }
        let kinglet = Kinglet::builder().threads(self.thread_choice()).build()?;
        match open(&kinglet, named.unwrap_or(Path::new(DEFAULT_MODEL))) {
            Ok(judge) => Ok(model.judged_by(&judge)?),
            Err(error) if named.is_some() => Err(error),
            Err(error) => {
                log::warn!("replies are not judged: {error}");
                Ok(model)
            }
        }
    }

    fn thread_choice(&self) -> Threads {
        self.threads.map_or(Threads::Auto, |threads| Threads::Exactly(threads.into()))
    }

    /// Has the model do what its first answer would have to do first, with a bar where that takes long. Weights that cannot be
    /// saved are told and do no harm.
    fn ready(&self, model: Model) -> Result<Model, Failure> {
        match self.prepare(&model) {
            Err(error @ kinglet::Error::Storage(_)) => log::warn!("{error}"),
            prepared => _ = prepared?,
        }
        Ok(model)
    }

    /// Prepares the model's weights, with a bar where that takes long. Gives whether there was anything to do.
    pub(crate) fn prepare(&self, model: &Model) -> Result<bool, kinglet::Error> {
        let progress = Progress::bar(self, 100, "preparing weights");
        let mut made = false;
        model.prepare(&CancelHandle::default(), |share| {
            made = true;
            progress.set((share * 100.0) as u64);
        })?;
        Ok(made)
    }
}

/// Opens a model; the shipped one is the one in the command itself where its folder is nowhere.
fn open(kinglet: &Kinglet, model: &Path) -> Result<Model, Failure> {
    match kinglet.open(model) {
        #[cfg(feature = "shipped-model")]
        Err(kinglet::Error::NotFound { .. }) if model == Path::new(DEFAULT_MODEL) => {
            Ok(kinglet.open(crate::shipped::unpacked()?)?)
        }
        opened => Ok(opened?),
    }
}

/// The options of the prefix cache, for the verbs that read a prompt.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Prefix cache")]
pub(crate) struct Prefix {
    /// Save what prompts begin with in this folder, and go on from what was saved there, also in later runs. The prompts can be
    /// read out of its files
    #[arg(long, value_name = "DIR")]
    prefix_cache: Option<PathBuf>,
    /// Size of all files in that folder together; those that were not used for longest go first [default: 256MiB]
    #[arg(long, value_name = "SIZE", requires = "prefix_cache")]
    prefix_cache_size: Option<Bytes>,
}

impl Prefix {
    fn add_to(&self, builder: Builder) -> Builder {
        let Some(dir) = &self.prefix_cache else { return builder };
        let mut cache = PrefixCache::new(dir);
        cache.max_bytes = self.prefix_cache_size.unwrap_or(cache.max_bytes);
        builder.prefix_cache(cache)
    }
}

/// The options of sampling that `run` and `chat` share.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct Sampling {
    /// Divides the logits: 0 takes the likeliest token, below 1 is careful, above 1 is bold
    #[arg(long, visible_alias = "temperature", value_name = "T")]
    pub(crate) temp: Option<f32>,
    /// Choose among the K likeliest tokens; 0 is all
    #[arg(long, value_name = "K")]
    pub(crate) top_k: Option<usize>,
    /// Choose among the fewest tokens whose probabilities reach P together; 1 is all
    #[arg(long, value_name = "P")]
    pub(crate) top_p: Option<f32>,
    /// Choose among tokens at least P times as likely as the likeliest; 0 is all
    #[arg(long, value_name = "P")]
    pub(crate) min_p: Option<f32>,
    /// Make tokens less likely that have occurred; 1 changes nothing
    #[arg(long, value_name = "R")]
    pub(crate) repeat_penalty: Option<f32>,
}

impl Sampling {
    /// `base` with what was given.
    pub(crate) fn over(&self, base: &SamplingOptions, seed: Option<u64>) -> SamplingOptions {
        let temperature = self.temp.unwrap_or(base.temperature);
        let base = SamplingOptions { temperature, ..base.clone() }.without_idle_filters();
        SamplingOptions {
            top_k: self.top_k.unwrap_or(base.top_k),
            top_p: self.top_p.unwrap_or(base.top_p),
            min_p: self.min_p.unwrap_or(base.min_p),
            repetition_penalty: self.repeat_penalty.unwrap_or(base.repetition_penalty),
            seed: seed.or(base.seed),
            ..base
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use log::{Level, Log, Metadata};

    #[test]
    fn warnings_are_shown_but_for_those_about_versions_of_operators() {
        for level in [LevelFilter::Warn, LevelFilter::Trace] {
            let logger = logger(level).build();
            let shows = |target: &str, level: Level| logger.enabled(&Metadata::builder().target(target).level(level).build());
            assert!(shows("kinglet_tract::plan", Level::Warn) && shows("tract_core::optim", Level::Warn));
            assert!(!shows("tract_onnx::model", Level::Warn) && shows("tract_onnx::model", Level::Error));
        }
    }
}
