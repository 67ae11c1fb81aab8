//! The model of a folder, opened by an engine: what has tokens.

use crate::budget::{Fit, Room, fit};
use crate::engines::{self, Chosen};
use crate::lazy::Lazy;
use crate::prefix::Prefixes;
use crate::prepared::PreparedWeights;
use crate::replies::read_extras;
use crate::settings::Settings;
use crate::text::Text;
use crate::{Bytes, Error, ProcessMemory};
use kinglet_bundle::Bundle;
use kinglet_engine::{MemoryEstimate, RunnerOptions, Threads, WeightStorage};
use kinglet_generate::{Generator, GeneratorOptions, SamplingOptions};
use kinglet_tasks::{ModelExtras, SmartReplier};
use std::sync::Arc;

/// The model of a folder.
pub(crate) struct LocalModel {
    pub(crate) bundle: Bundle,
    pub(crate) engine: Chosen,
    pub(crate) settings: Settings,
    pub(crate) fit: Fit,
    pub(crate) generator: Generator,
    pub(crate) sampling: SamplingOptions,
    pub(crate) extras: ModelExtras,
    pub(crate) prefixes: Option<Prefixes>,
    /// Where weights are saved once they are prepared.
    pub(crate) prepared: Option<PreparedWeights>,
    text: Lazy<Text>,
    /// Memory of the process when the model had been opened.
    pub(crate) process: Option<Bytes>,
    pub(crate) replier: Lazy<SmartReplier>,
}

impl LocalModel {
    pub(crate) fn open(bundle: Bundle, settings: &Settings) -> Result<LocalModel, Error> {
        let engine = engines::open(&bundle, settings, false)?;
        let prepared = prepared_weights(&bundle, &engine, settings);
        let process = ProcessMemory::look().map(|memory| memory.resident);
        let fit = fit_of(&*engine.model, settings)?;
        if let Some(reduced) = &fit.reduced {
            log::info!("{reduced}");
        }
        let extras = read_extras(&bundle)?;
        let options = RunnerOptions { threads: Threads::Exactly(settings.thread_count()), ..runner_options(fit.room, settings) };
        let runner = engine.model.runner(&options)?;
        let generator = Generator::new(runner, generator_options(&bundle, &extras, settings)?)?;
        let prefixes = settings.prefix_cache.as_ref().map(|cache| Prefixes::new(cache, &bundle, &engine, &options));
        let (sampling, settings) = (recommended_sampling(&bundle), settings.clone());
        let (text, replier) = (Lazy::new(), Lazy::new());
        Ok(LocalModel { bundle, engine, settings, fit, generator, sampling, extras, prefixes, prepared, text, process, replier })
    }

    /// The engine's name.
    pub(crate) fn engine_name(&self) -> &'static str {
        self.engine.model.info().engine
    }

    /// Tokenizer and template, read from the folder at the first call.
    pub(crate) fn text(&self) -> Result<Arc<Text>, Error> {
        self.text.get_or_read(|| Text::read(&self.bundle))
    }
}

/// The place of prepared weights, if the settings name one that they can be used from; those that are there are used.
fn prepared_weights(bundle: &Bundle, engine: &Chosen, settings: &Settings) -> Option<PreparedWeights> {
    let folder = settings.prepared_weights.as_ref().filter(|_| settings.weights == WeightStorage::Auto && !settings.exact)?;
    let prepared = PreparedWeights::new(folder, bundle, engine);
    prepared.recall(&*engine.model);
    Some(prepared)
}

pub(crate) fn runner_options(room: Room, settings: &Settings) -> RunnerOptions {
    RunnerOptions {
        context: room.context,
        sequences: room.sequences,
        threads: settings.threads,
        exact_activations: settings.exact,
        weights: settings.weights,
        ..RunnerOptions::default()
    }
}

/// The room that a model gets under `settings`.
pub(crate) fn fit_of(engine: &dyn kinglet_engine::Model, settings: &Settings) -> Result<Fit, Error> {
    let asked = settings.context.unwrap_or(RunnerOptions::default().context);
    let wanted = Room { context: asked.min(engine.info().max_context), sequences: settings.max_sequences };
    let estimate = |room: Room| -> MemoryEstimate { engine.memory_estimate(&runner_options(room, settings)) };
    let mut fit = fit(wanted, settings.memory_budget, estimate)?;
    if fit.reduced.is_none() && settings.context.is_some_and(|asked| asked > wanted.context) {
        fit.reduced =
            Some(format!("the model was made for {} positions, which is less than the {asked} asked for", wanted.context));
    }
    Ok(fit)
}

/// Generator options of the model. Without end tokens, no tokens are suppressed either.
fn generator_options(bundle: &Bundle, extras: &ModelExtras, settings: &Settings) -> Result<GeneratorOptions, Error> {
    let text_vocab = extras.reply_ranking.as_ref().map(|ranking| ranking.columns().start);
    let options = GeneratorOptions { text_vocab, ..GeneratorOptions::default() };
    if !settings.end_tokens {
        return Ok(options);
    }
    Ok(GeneratorOptions { suppress: bundle.generation().suppress_ids.clone(), eos: end_tokens(bundle)?, ..options })
}

/// The tokens that end an answer: those that the model's files name, else the one that the tokenizer names.
fn end_tokens(bundle: &Bundle) -> Result<Vec<u32>, Error> {
    let named = &bundle.architecture().eos_ids;
    if !named.is_empty() || bundle.text_files().tokenizer.is_none() {
        return Ok(named.clone());
    }
    Ok(Text::read(bundle)?.tokenizer.eos().into_iter().collect())
}

/// The sampling of `generation_config.json`; greedy, with a warning, where that says something out of range.
fn recommended_sampling(bundle: &Bundle) -> SamplingOptions {
    let makers = bundle.generation();
    let greedy = SamplingOptions::default();
    if makers.do_sample != Some(true) {
        return greedy;
    }
    let sampling = SamplingOptions {
        temperature: makers.temperature.unwrap_or(1.0),
        top_k: makers.top_k.unwrap_or(greedy.top_k),
        top_p: makers.top_p.unwrap_or(greedy.top_p),
        min_p: makers.min_p.unwrap_or(greedy.min_p),
        repetition_penalty: makers.repetition_penalty.unwrap_or(greedy.repetition_penalty),
        ..greedy
    }
    .without_idle_filters();
    match sampling.validate() {
        Ok(()) => sampling,
        Err(error) => {
            log::warn!("the sampling that the model recommends is not used: {error}");
            SamplingOptions::default()
        }
    }
}
