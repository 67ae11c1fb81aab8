//! The command line of `kinglet`.

use crate::{help, verbs};
use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, FromArgMatches, Parser, Subcommand, ValueEnum};
use kinglet::Bytes;
use std::path::PathBuf;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Yellow.on_default().bold())
    .usage(AnsiColor::Yellow.on_default().bold())
    .literal(AnsiColor::Cyan.on_default())
    .placeholder(AnsiColor::Green.on_default());

/// Small language models on this machine: open a model folder, get replies, text or scores. Nothing leaves the machine.
#[derive(Debug, Parser)]
#[command(name = "kinglet", version, styles = STYLES, propagate_version = true, arg_required_else_help = true, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

impl Cli {
    /// Parses the command line of this process. Wrong usage and `--help` end the program here.
    pub(crate) fn of_process() -> Cli {
        let (words, all) = help::asked(std::env::args_os().collect());
        Cli::from_arg_matches(&help::command(all).get_matches_from(words)).unwrap_or_else(|error| error.exit())
    }
}

const EXAMPLES: &str = "Examples:
  kinglet reply \"Do you want to grab lunch tomorrow?\"
  kinglet chat
  kinglet run path/to/model \"Where does the tide come from?\"
  kinglet list
  kinglet show goldcrest

`kinglet VERB --help` explains a verb, `kinglet VERB --help all` also the options that all verbs share.
Data goes to stdout, messages and progress to stderr. Exit codes: 0 done, 1 refused or failed, 2 wrong usage.";

/// Options that every verb takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Options of all verbs")]
pub(crate) struct Common {
    /// The model: a folder, or a name that is looked up in KINGLET_MODELS, the user's data directory, and `models` beside
    /// the binary, beside the working directory and above either [default: goldcrest]
    #[arg(short, long, global = true, value_name = "PATH|NAME")]
    pub(crate) model: Option<PathBuf>,
    /// Which of several graphs in the model's folder: a name such as model_q4, its end, or a precision such as int8
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) variant: Option<String>,
    /// The engine
    #[arg(long, global = true, value_enum, default_value_t = Engine::Auto)]
    pub(crate) engine: Engine,
    /// The execution provider of ONNX Runtime; naming one names that engine [default: cpu, or what `kinglet probe` found]
    #[arg(long, global = true, value_enum)]
    pub(crate) provider: Option<Provider>,
    /// The folder where `kinglet probe` keeps what it found, which the engine auto goes by [default: kinglet/probe in the user's
    /// cache]
    #[arg(long, global = true, value_name = "FOLDER")]
    pub(crate) probe_records: Option<PathBuf>,
    /// Threads to compute on [default: what the machine has]
    #[arg(short, long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    pub(crate) threads: Option<u16>,
    /// Positions that a conversation may hold [default: 2048, or what the model was made for if that is less]
    #[arg(short, long, visible_aliases = ["ctx", "ctx-size"], global = true, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) context: Option<u32>,
    /// Memory that the model may take, such as 600MB: weights, keys and values, scratch [default: no limit]
    #[arg(long, global = true, value_name = "SIZE")]
    pub(crate) memory_budget: Option<Bytes>,
    /// Seed of the random numbers: the same seed and input give the same output
    #[arg(long, global = true, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Multiply quantised weights with float32 activations: exact, and several times slower
    #[arg(long, global = true)]
    pub(crate) exact: bool,
    /// Where quantised weights are read from
    #[arg(long, global = true, value_enum, default_value_t = Weights::Auto)]
    pub(crate) weights: Weights,
    /// The folder of prepacked weights: read from there, or saved there once they are made [default: those that `kinglet prepare` has
    /// put in kinglet/weights of the user's cache are read, and none are saved]
    #[arg(long, global = true, value_name = "FOLDER")]
    pub(crate) prepared_weights: Option<PathBuf>,
    /// Write JSON: one object, or one line an event
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Write only errors to stderr
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Write more to stderr; twice or three times for more still
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// The engines that may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    /// The fastest by `kinglet probe`; without that, the first that runs the model: the embedded one, then ONNX Runtime
    Auto,
    /// The embedded one
    Tract,
    /// ONNX Runtime, whose library is looked for: ORT_DYLIB_PATH, beside the binary, the system
    Ort,
}

/// The execution providers of ONNX Runtime that may be asked for. A library has those that it was built with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Provider {
    /// Its own code for the CPU, which every library has
    Cpu,
    /// Core ML of Apple's systems
    #[value(name = "coreml")]
    CoreMl,
    /// The Neural Networks API of Android
    Nnapi,
    /// Qualcomm's AI Engine
    Qnn,
    /// XNNPACK, kernels for the CPU
    Xnnpack,
}

/// The storages of weights that may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Weights {
    /// Packed where the machine has room for that
    Auto,
    /// The mapped files: ready at once
    InPlace,
    /// Memory of their own, prepacked before the first answer: faster
    Packed,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Reply(verbs::reply::Arguments),
    Chat(verbs::chat::Arguments),
    Run(verbs::run::Arguments),
    Score(verbs::score::Arguments),
    Tokenize(verbs::tokenize::Arguments),
    Detokenize(verbs::detokenize::Arguments),
    Template(verbs::template::Arguments),
    Logits(verbs::logits::Arguments),
    List(verbs::list::Arguments),
    #[command(visible_alias = "show")]
    Inspect(verbs::inspect::Arguments),
    Rm(verbs::rm::Arguments),
    Prepare(verbs::prepare::Arguments),
    Conformance(verbs::conformance::Arguments),
    Doctor(verbs::doctor::Arguments),
    Probe(verbs::probe::Arguments),
    #[command(hide = true)]
    ProbeCandidate(verbs::probe_candidate::Arguments),
    Bench(verbs::bench::Arguments),
    Completions(verbs::completions::Arguments),
    Man(verbs::man::Arguments),
}

/// Token ids in one argument, separated by commas or spaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ids(pub(crate) Vec<u32>);

impl std::str::FromStr for Ids {
    type Err = String;

    fn from_str(text: &str) -> Result<Ids, String> {
        let parts = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|part| !part.is_empty());
        let id = |part: &str| {
            part.parse().map_err(|_| format!("`{}` is no token id; ids are whole numbers such as 1,2,3", beginning(part)))
        };
        parts.map(id).collect::<Result<_, _>>().map(Ids)
    }
}

/// The first characters of a text, for a message.
pub(crate) fn beginning(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((cut, _)) => format!("{}..", &text[..cut]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_sound() {
        help::command(false).debug_assert();
        help::command(true).debug_assert();
    }

    #[test]
    fn every_verb_has_examples_in_its_help() {
        for verb in Cli::command().get_subcommands() {
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(&format!("kinglet {}", verb.get_name())), "{}", verb.get_name());
        }
    }

    #[test]
    fn ids_in_one_argument() {
        struct Case(&'static str, Option<Vec<u32>>);
        for Case(text, ids) in [
            Case("1,2,3", Some(vec![1, 2, 3])),
            Case(" 1 2,\n3, ", Some(vec![1, 2, 3])),
            Case("", Some(vec![])),
            Case("4294967295", Some(vec![u32::MAX])),
            Case("4294967296", None),
            Case("-1", None),
            Case("1.5", None),
            Case("1;2", None),
        ] {
            assert_eq!(text.parse::<Ids>().ok(), ids.map(Ids), "{text:?}");
        }
    }
}
