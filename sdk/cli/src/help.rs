//! How the command's help is laid out: a verb's own options, and those that all verbs share where they are asked for.

use crate::arguments::Cli;
use clap::{Command, CommandFactory};
use std::ffi::OsString;

/// The word after `--help`, `-h` or a verb of `kinglet help` that has the help show all options.
const ALL: &str = "all";

/// The command. Its help shows the shared options if `all` do. Negative numbers are taken as values, to say what is wrong with them,
/// and not as unknown options.
pub(crate) fn command(all: bool) -> Command {
    let command = Cli::command().mut_subcommands(|verb| verb.allow_negative_numbers(true));
    if all {
        return command;
    }
    let hidden = command.mut_args(|argument| if argument.is_global_set() { argument.hide(true) } else { argument });
    hidden.mut_subcommands(|verb| told(verb, "kinglet"))
}

/// A verb whose help says how to see the shared options.
fn told(verb: Command, above: &str) -> Command {
    let path = format!("{above} {}", verb.get_name());
    let examples = verb.get_after_help().map(|help| format!("{help}\n\n")).unwrap_or_default();
    let names = "--model, --threads, --context, --seed, --json, --quiet and others";
    let shared = format!("{examples}Options of all verbs, {names}:\n  {path} --help {ALL}");
    verb.after_help(shared).mut_subcommands(|verb| told(verb, &path))
}

/// The words that were typed, without an `all` that a verb of `kinglet help` would be, and whether all options are asked for.
pub(crate) fn asked(mut words: Vec<OsString>) -> (Vec<OsString>, bool) {
    let is_flag = |word: &OsString| word == "--help" || word == "-h";
    if words.windows(2).any(|pair| is_flag(&pair[0]) && pair[1] == ALL) {
        return (words, true);
    }
    let of_verb =
        words.get(1).is_some_and(|word| word == "help") && words.len() > 2 && words.last().is_some_and(|word| word == ALL);
    if of_verb {
        words.pop();
    }
    (words, of_verb)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_options_are_asked_for_after_help() {
        for (typed, rest, all) in [
            ("kinglet run --help", "kinglet run --help", false),
            ("kinglet run --help all", "kinglet run --help all", true),
            ("kinglet run -h all", "kinglet run -h all", true),
            ("kinglet --help all", "kinglet --help all", true),
            ("kinglet help run all", "kinglet help run", true),
            ("kinglet help all", "kinglet help", true),
            ("kinglet run all", "kinglet run all", false),
            ("kinglet help", "kinglet help", false),
        ] {
            let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
            assert_eq!(asked(words(typed)), (words(rest), all), "{typed}");
        }
    }

    #[test]
    fn a_verb_shows_its_own_options_and_where_the_others_are() {
        let help = |all: bool, verb: &str| {
            let mut command = command(all);
            command.build();
            command.find_subcommand_mut(verb).unwrap().render_long_help().to_string()
        };
        let (own, all) = (help(false, "run"), help(true, "run"));
        assert!(own.contains("--max-tokens") && !own.contains("--memory-budget"), "{own}");
        assert!(own.contains("kinglet run --help all") && own.contains("Examples:"), "{own}");
        assert!(all.contains("--max-tokens") && all.contains("--memory-budget"), "{all}");
    }
}
