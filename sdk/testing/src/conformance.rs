//! Checks that every engine has to pass on the golden models, through the contract alone: the same for all of them, except that
//! [`agreement`] does not feed prompts in chunks to `ort` where their length changes the rotary angles.
//!
//! Each check gives what it found, or a sentence that says what is wrong.

use crate::{Difference, Golden, GoldenModel, GoldenPrompt, Rounding, argmax, compare};
use kinglet_bundle::{Bundle, OpenOptions};
use kinglet_engine::{
    CacheId, CancelToken, EngineError, LogitsWanted, Model, Runner, RunnerOptions, SequenceStep, Threads, TokenId, Trim,
};
use std::fmt::{self, Display, Formatter};

/// The bundle of a golden model.
///
/// # Errors
/// The bundle's error, in words.
pub fn bundle(golden: &GoldenModel) -> Result<Bundle, String> {
    let options = OpenOptions { variant: golden.variant.clone(), ..Default::default() };
    Bundle::open(&golden.folder, &options).map_err(said)
}

/// Options for a golden model: room for the longest prompt, two threads.
pub fn options(exact_activations: bool) -> RunnerOptions {
    RunnerOptions { context: 1024, sequences: 4, threads: Threads::Exactly(2), exact_activations, ..Default::default() }
}

/// Runs a check over models, prints what it found, and gives the sentences of those that fail.
pub fn over<'a>(
    models: impl IntoIterator<Item = &'a GoldenModel>,
    mut check: impl FnMut(&GoldenModel) -> Result<String, String>,
) -> Vec<String> {
    let mut failures = vec![];
    for golden in models {
        match check(golden) {
            Ok(found) => println!("{} {}: {found}", golden.name, golden.precision),
            Err(why) => failures.push(format!("{} {}: {why}", golden.name, golden.precision)),
        }
    }
    failures
}

/// Logits at `wanted`, indices into `ids`, after feeding `ids` in chunks: `[wanted, vocab]`.
///
/// # Errors
/// The engine's error, in words.
pub fn logits(runner: &mut dyn Runner, ids: &[TokenId], wanted: &[usize], chunk: usize) -> Result<Vec<f32>, String> {
    let cache = runner.create_cache().map_err(said)?;
    let (mut all, mut at) = (vec![], 0);
    for tokens in ids.chunks(chunk) {
        let here = wanted.iter().filter(|p| (at..at + tokens.len()).contains(p)).map(|p| p - at).collect();
        all.extend(fed(runner, &[SequenceStep { cache, tokens, logits: LogitsWanted::At(here) }])?);
        at += tokens.len();
    }
    runner.release(cache);
    Ok(all)
}

/// The tokens that greedy decoding appends to `ids`.
///
/// # Errors
/// The engine's error, in words.
pub fn greedy(runner: &mut dyn Runner, ids: &[TokenId], count: usize) -> Result<Vec<TokenId>, String> {
    let cache = runner.create_cache().map_err(said)?;
    let (mut tokens, mut out) = (ids.to_vec(), vec![]);
    while out.len() < count {
        let row = fed(runner, &[SequenceStep { cache, tokens: &tokens, logits: LogitsWanted::Last }])?;
        out.push(argmax(&row) as TokenId);
        tokens = vec![argmax(&row) as TokenId];
    }
    runner.release(cache);
    Ok(out)
}

/// Holds a model against the reference: the logits of each prompt, whole and in chunks of 5, and the tokens after it. Gives the
/// largest difference of logits, as a part of the reference's largest.
///
/// # Errors
/// Logits beyond the golden's tolerance, or other tokens where these must be the reference's.
pub fn agreement(golden: &GoldenModel, model: &dyn Model, options: &RunnerOptions) -> Result<f32, String> {
    let mut runner = model.runner(options).map_err(said)?;
    let mut worst = 0.0f32;
    for prompt in &golden.golden.prompts {
        let length = prompt.ids.len() + prompt.greedy.len();
        let is_long = golden.longer_angles_after.is_some_and(|limit| length > limit);
        let short = golden.longer_angles_after.filter(|_| !is_long);
        let short = short.map(|context| model.runner(&RunnerOptions { context, ..options.clone() }));
        let mut short = short.transpose().map_err(said)?;
        let mut chunks = vec![prompt.ids.len()];
        // ONNX Runtime runs the graph as it stands, which leaves the keys of earlier chunks at the shorter angles.
        if !(is_long && model.info().engine == "ort") {
            chunks.push(5);
        }
        worst = worst.max(prompt_agreement(golden, &mut **short.as_mut().unwrap_or(&mut runner), prompt, &chunks)?);
    }
    Ok(worst)
}

fn prompt_agreement(
    golden: &GoldenModel,
    runner: &mut dyn Runner,
    prompt: &GoldenPrompt,
    chunks: &[usize],
) -> Result<f32, String> {
    let mut worst = 0.0f32;
    for &chunk in chunks {
        let got = logits(runner, &prompt.ids, &prompt.positions, chunk)?;
        let difference = compare(&got, &prompt.logits).relative();
        if difference > golden.max_relative {
            return Err(format!("{}: logits differ by {difference:.2e} in chunks of {chunk}", prompt.name));
        }
        worst = worst.max(difference);
    }
    let got = greedy(runner, &prompt.ids, prompt.greedy.len())?;
    if golden.greedy_exact && got != prompt.greedy {
        let at = got.iter().zip(&prompt.greedy).take_while(|(a, b)| a == b).count();
        return Err(format!("{}: token {at} of {} differs", prompt.name, prompt.greedy.len()));
    }
    Ok(worst)
}

/// Differences from the exact reference over all known positions: ours, and those of ONNX Runtime as it runs by default, which
/// rounds more than the weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// Of the model that is held against it.
    pub ours: Difference,
    /// Of ONNX Runtime when the goldens were made.
    pub theirs: Difference,
}

impl Noise {
    /// Engines round in different places, so the noise is alike, not equal.
    pub fn is_alike(&self) -> bool {
        self.ours.rms <= 1.5 * self.theirs.rms + 1e-6 && self.ours.max <= 2.0 * self.theirs.max + 1e-6
    }
}

impl Display for Noise {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { ours, theirs } = self;
        let scale = theirs.scale;
        let [(a, b), (c, d)] = [ours, theirs].map(|d| (d.max / scale, d.rms / scale));
        write!(f, "ours max {a:.1e} rms {b:.1e}, ONNX Runtime max {c:.1e} rms {d:.1e} of the largest logit")
    }
}

/// How noisy a model is beside `theirs`, the answers of ONNX Runtime.
///
/// # Errors
/// The engine's error, in words; also where the two references do not match.
pub fn noise(golden: &GoldenModel, theirs: &Golden, model: &dyn Model, options: &RunnerOptions) -> Result<Noise, String> {
    let mut runner = model.runner(options).map_err(said)?;
    let (mut ours, mut exact, mut other) = (vec![], vec![], vec![]);
    for prompt in &theirs.prompts {
        let Some(reference) = golden.golden.prompts.iter().find(|p| p.name == prompt.name && p.positions == prompt.positions)
        else {
            return Err(format!("{}: the two references do not match", prompt.name));
        };
        ours.extend(logits(&mut *runner, &prompt.ids, &prompt.positions, prompt.ids.len())?);
        exact.extend_from_slice(&reference.logits);
        other.extend_from_slice(&prompt.logits);
    }
    Ok(Noise { ours: compare(&ours, &exact), theirs: compare(&other, &exact) })
}

impl GoldenModel {
    /// Whether an engine that runs the graph as it stands can come to the exact reference: with activations that are rounded
    /// in blocks it can, where it does not round them; what the graph itself rounds stays rounded.
    pub fn exact_is_possible(&self) -> bool {
        matches!(self.rounded, None | Some((Rounding::Int8Blocks, _)))
    }
}

/// Where the sequences of [`independence`] part.
const PARTING: usize = 9;
/// Positions that they go on for.
const REST: usize = 11;

/// Holds sequences against themselves alone: fed with others in one step, forked, cut short and fed again, and decoded one token
/// at a time beside others of other lengths. Gives the largest difference, as a part of the largest logit.
///
/// # Errors
/// A difference beyond `tolerance`, or lengths that are not as they must be.
pub fn independence(model: &dyn Model, options: &RunnerOptions, tolerance: f32) -> Result<f32, String> {
    let mut runner = model.runner(options).map_err(said)?;
    let all = some_tokens(model, 3 * REST + PARTING);
    let (beginning, rest) = all.split_at(PARTING);
    let rests: Vec<&[TokenId]> = rest.chunks(REST).collect();
    let mut worst = 0.0f32;
    let mut hold = |what: &str, got: &[f32], want: &[f32]| {
        let difference = compare(got, want).relative();
        worst = worst.max(difference);
        if difference > tolerance { Err(format!("{what}: logits differ by {difference:.2e}")) } else { Ok(()) }
    };
    let runner = &mut *runner;
    // Each alone: after the beginning whole, and token by token.
    let (mut alone, mut stepped) = (vec![], vec![]);
    for rest in &rests {
        let cache = after(runner, beginning)?;
        alone.push(feed(runner, cache, rest)?);
        runner.truncate(cache, PARTING).map_err(said)?;
        stepped.push(rest.iter().map(|token| feed(runner, cache, &[*token])).collect::<Result<Vec<_>, _>>()?);
        runner.release(cache);
    }
    let base = after(runner, beginning)?;
    let forks = rests.iter().map(|_| runner.fork(base).map_err(said)).collect::<Result<Vec<_>, _>>()?;
    let steps: Vec<_> = forks
        .iter()
        .zip(&rests)
        .map(|(cache, tokens)| SequenceStep { cache: *cache, tokens, logits: LogitsWanted::All })
        .collect();
    hold("forks in one step", &fed(runner, &steps)?, &alone.concat())?;
    expect_len(runner, base, PARTING)?;
    hold("the origin of forks", &feed(runner, base, rests[1])?, &alone[1])?;
    // The second is cut short and goes on as the first; the third is further than both.
    runner.truncate(forks[1], PARTING).map_err(said)?;
    runner.truncate(forks[0], PARTING).map_err(said)?;
    let vocab = model.info().vocab;
    for (place, token) in rests[0].iter().enumerate() {
        let tokens = [*token];
        let two: Vec<_> = [forks[1], forks[2], forks[0]]
            .map(|cache| SequenceStep { cache, tokens: &tokens, logits: LogitsWanted::Last })
            .into();
        let got = fed(runner, &two)?;
        hold("a cut sequence beside a longer one", &got[..vocab], &stepped[0][place])?;
        hold("the last of three", &got[2 * vocab..], &stepped[0][place])?;
    }
    // A new one begins beside one that goes on with several tokens.
    runner.truncate(forks[2], PARTING).map_err(said)?;
    let new = runner.create_cache().map_err(said)?;
    let mixed = [
        SequenceStep { cache: new, tokens: beginning, logits: LogitsWanted::None },
        SequenceStep { cache: forks[2], tokens: rests[2], logits: LogitsWanted::All },
    ];
    hold("beside one that begins", &fed(runner, &mixed)?, &alone[2])?;
    hold("one that began beside another", &feed(runner, new, rests[0])?, &alone[0])?;
    forks.into_iter().chain([base, new]).for_each(|cache| runner.release(cache));
    match runner.kv_bytes() {
        0 => Ok(worst),
        bytes => Err(format!("{bytes} bytes of keys and values are left over")),
    }
}

/// Holds the errors of a runner against the contract, and that each leaves it usable.
///
/// # Errors
/// Another error, none, or other logits afterwards.
pub fn refusals(model: &dyn Model, options: &RunnerOptions) -> Result<(), String> {
    let (vocab, context) = (model.info().vocab, 32.min(model.info().max_context));
    let mut runner = model.runner(&RunnerOptions { context, sequences: 2, ..options.clone() }).map_err(said)?;
    let runner = &mut *runner;
    let tokens = some_tokens(model, context);
    let cache = after(runner, &tokens[..PARTING])?;
    let expected = feed(runner, cache, &tokens[PARTING..PARTING + 4])?;
    let outside = [vocab as TokenId];
    let step = |tokens, logits| SequenceStep { cache, tokens, logits };
    let none = CancelToken::default();
    let raised = CancelToken::default();
    raised.cancel();
    for (what, step, cancel, is_right) in [
        (
            "a token outside",
            step(&outside[..], LogitsWanted::Last),
            &none,
            (|e| matches!(e, EngineError::TokenOutOfRange { .. })) as fn(&_) -> bool,
        ),
        ("no tokens", step(&[], LogitsWanted::None), &none, |e| matches!(e, EngineError::InvalidRequest(_))),
        ("too many", step(&tokens, LogitsWanted::Last), &none, |e| matches!(e, EngineError::ContextFull { .. })),
        ("rows outside", step(&tokens[..2], LogitsWanted::At(vec![2])), &none, |e| matches!(e, EngineError::InvalidRequest(_))),
        ("cancelled", step(&tokens[..2], LogitsWanted::Last), &raised, |e| matches!(e, EngineError::Cancelled)),
    ] {
        match runner.step(&[step], cancel) {
            Err(error) if is_right(&error) => {}
            other => return Err(format!("{what}: {:?}", other.map(|logits| logits.len()))),
        }
        expect_len(runner, cache, PARTING + 4)?;
    }
    runner.truncate(cache, PARTING).map_err(said)?;
    if feed(runner, cache, &tokens[PARTING..PARTING + 4])? != expected {
        return Err("other logits after refusals".into());
    }
    // Six sequences do not fit where two do.
    let held = runner.kv_bytes();
    let caches = (0..6).map(|_| runner.create_cache().map_err(said)).collect::<Result<Vec<_>, _>>()?;
    let steps: Vec<_> =
        caches.iter().map(|cache| SequenceStep { cache: *cache, tokens: &tokens, logits: LogitsWanted::None }).collect();
    match runner.step(&steps, &none) {
        Err(EngineError::CacheFull { .. }) => {}
        other => return Err(format!("six where two fit: {:?}", other.map(|logits| logits.len()))),
    }
    caches.iter().try_for_each(|cache| expect_len(runner, *cache, 0))?;
    if runner.kv_bytes() != held {
        return Err(format!("{} bytes of keys and values after a step that found no room, {held} before", runner.kv_bytes()));
    }
    caches.into_iter().for_each(|cache| runner.release(cache));
    runner.release(cache);
    runner.release(cache);
    match runner.cache_len(cache) {
        Err(EngineError::UnknownCache(_)) => Ok(()),
        other => Err(format!("a released cache has the length {other:?}")),
    }
}

/// Holds sequences that go on from a restored cache against the one that was saved, bit for bit, in another runner.
///
/// # Errors
/// A changed bit, or what the engine says.
pub fn restoring(model: &dyn Model, options: &RunnerOptions, prefixes: &[usize]) -> Result<(), String> {
    let all = some_tokens(model, 90);
    for &prefix in prefixes {
        let mut here = model.runner(options).map_err(said)?;
        let computed = after(&mut *here, &all)?;
        let mut saved = vec![];
        here.save(computed, prefix, &mut saved).map_err(said)?;
        here.truncate(computed, prefix).map_err(said)?;
        let expected = feed(&mut *here, computed, &all[prefix..])?;
        let mut there = model.runner(options).map_err(said)?;
        let restored = there.restore(&mut saved.as_slice()).map_err(said)?;
        expect_len(&*there, restored, prefix)?;
        let got = feed(&mut *there, restored, &all[prefix..])?;
        if got.iter().map(|logit| logit.to_bits()).ne(expected.iter().map(|logit| logit.to_bits())) {
            let difference = compare(&got, &expected).relative();
            return Err(format!("after {prefix} tokens the restored sequence differs by {difference:.1e}"));
        }
    }
    Ok(())
}

/// Holds a runner that gives its memory back in the middle of a sequence against one that does not, bit for bit.
///
/// # Errors
/// A changed bit, a lost position, or what the engine says.
pub fn trimming(model: &dyn Model, options: &RunnerOptions) -> Result<(), String> {
    let tokens = some_tokens(model, 40);
    let pieces = || tokens.chunks(9);
    let whole = |trims: &[Trim]| -> Result<Vec<u32>, String> {
        let mut runner = model.runner(options).map_err(said)?;
        let (cache, gone) = (runner.create_cache().map_err(said)?, after(&mut *runner, &tokens)?);
        let mut trims = trims.iter().cycle();
        runner.release(gone);
        let mut bits = vec![];
        for (held, piece) in pieces().enumerate() {
            bits.extend(feed(&mut *runner, cache, piece)?.iter().map(|logit| logit.to_bits()));
            trims.next().into_iter().for_each(|depth| runner.trim(*depth));
            expect_len(&*runner, cache, (9 * (held + 1)).min(tokens.len()))?;
        }
        Ok(bits)
    };
    if whole(&[])? != whole(&[Trim::Buffers, Trim::Weights])? {
        return Err("other logits after memory was given back".into());
    }
    Ok(())
}

/// Tokens of the model's vocabulary, always the same.
pub fn some_tokens(model: &dyn Model, count: usize) -> Vec<TokenId> {
    (0..count).map(|i| ((i * 37 + 11) % model.info().vocab.min(200)) as TokenId).collect()
}

/// A cache that holds `tokens`.
fn after(runner: &mut dyn Runner, tokens: &[TokenId]) -> Result<CacheId, String> {
    let cache = runner.create_cache().map_err(said)?;
    fed(runner, &[SequenceStep { cache, tokens, logits: LogitsWanted::None }])?;
    Ok(cache)
}

/// All logits of `tokens`, `[tokens, vocab]`.
fn feed(runner: &mut dyn Runner, cache: CacheId, tokens: &[TokenId]) -> Result<Vec<f32>, String> {
    fed(runner, &[SequenceStep { cache, tokens, logits: LogitsWanted::All }])
}

fn fed(runner: &mut dyn Runner, steps: &[SequenceStep<'_>]) -> Result<Vec<f32>, String> {
    runner.step(steps, &CancelToken::default()).map(|logits| logits.values().to_vec()).map_err(said)
}

fn expect_len(runner: &dyn Runner, cache: CacheId, len: usize) -> Result<(), String> {
    match runner.cache_len(cache).map_err(said)? {
        held if held == len => Ok(()),
        held => Err(format!("a cache holds {held} positions, not {len}")),
    }
}

fn said(error: impl Display) -> String {
    error.to_string()
}
