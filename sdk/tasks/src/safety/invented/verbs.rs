//! Past forms of verbs, their base forms, and verbs that answer for each other.

use super::sentences::holds;
use std::collections::HashMap;
use std::sync::LazyLock;

/// Base forms of irregular verbs and their past forms.
const IRREGULAR: &[&str] = &[
    "send sent",
    "buy bought",
    "get got gotten",
    "make made",
    "take took taken",
    "give gave given",
    "go went gone",
    "come came",
    "leave left",
    "put put",
    "find found",
    "bring brought",
    "tell told",
    "speak spoke spoken",
    "write wrote written",
    "do did done",
    "eat ate eaten",
    "drink drank drunk",
    "drive drove driven",
    "run ran",
    "win won",
    "lose lost",
    "meet met",
    "build built",
    "sell sold",
    "cut cut",
    "set set",
    "read read",
    "see saw seen",
    "sleep slept",
    "oversleep overslept",
    "wake woke woken",
    "break broke broken",
    "fall fell fallen",
    "feed fed",
    "pay paid",
    "catch caught",
    "teach taught",
    "think thought",
    "feel felt",
    "know knew known",
    "forget forgot forgotten",
    "mean meant",
    "hear heard",
    "understand understood",
    "say said",
    "have had",
    "begin began begun",
    "choose chose chosen",
    "draw drew drawn",
    "fly flew flown",
    "grow grew grown",
    "hang hung",
    "hide hid hidden",
    "hold held",
    "hurt hurt",
    "keep kept",
    "lend lent",
    "lay laid",
    "light lit",
    "ring rang rung",
    "ride rode ridden",
    "sing sang sung",
    "sit sat",
    "spend spent",
    "stand stood",
    "steal stole stolen",
    "swim swam swum",
    "throw threw thrown",
    "wear wore worn",
    "bake baked",
    "shut shut",
    "quit quit",
    "hit hit",
    "let let",
    "cost cost",
    "be been",
    "show shown",
    "beat beaten",
    "become became",
    "rebook rebooked",
    "resend resent",
    "redo redid redone",
    "misplace misplaced",
    "spill spilt",
    "reset reset",
    "split split",
    "spread spread",
    "shoot shot",
    "shake shook shaken",
    "sink sank sunk",
    "slide slid",
    "stick stuck",
    "strike struck",
    "sweep swept",
    "tear tore torn",
    "fight fought",
    "freeze froze frozen",
    "bend bent",
    "bite bit bitten",
    "blow blew blown",
    "dig dug",
    "deal dealt",
    "swear swore sworn",
    "undo undid undone",
    "rebuild rebuilt",
    "withdraw withdrew withdrawn",
    "overpay overpaid",
    "leap leapt",
    "shine shone",
    "spin spun",
    "burn burnt",
];
/// Words on `ed` that are no past forms.
const NO_PAST: &str = "need feed speed bleed proceed succeed exceed breed indeed hundred naked sacred embed";
/// Verbs that answer for each other: who is asked whether a letter came may say that it was received.
const GROUPS: &[&str] = &[
    "get receive arrive come have reach",
    "send email mail forward ship text resend post",
    "buy order grab pick purchase",
    "book reserve",
    "call ring phone speak talk",
    "finish complete",
    "see watch read",
    "pay transfer settle",
    "deliver drop leave",
    "eat have",
    "make cook bake",
    "mend fix repair sort",
];
/// Verbs of mind and mood, which claim nothing about the world.
const INWARD: &str = "think feel love like hope know forget mean want need miss hear understand agree figure guess wonder \
                      appreciate enjoy try wish expect suppose be have realize realise notice believe worry laugh care \
                      prefer regret remember promise deserve look seem sound use happen plan intend lead assume let cost \
                      pray mind doubt adore hate dislike decide hurt turn grow mess";

static PAST: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| {
    let forms = |line: &&'static str| line.split_once(' ').map(|(base, past)| past.split(' ').map(move |form| (form, base)));
    IRREGULAR.iter().filter_map(forms).flatten().collect()
});

/// What `word` may be the past form of; nothing where it is none.
pub(super) fn past(word: &str) -> Vec<String> {
    if let Some(base) = PAST.get(word) {
        return vec![(*base).to_owned()];
    }
    let Some(stem) = word.strip_suffix("ed").filter(|stem| stem.len() > 1 && stem.is_ascii() && !holds(NO_PAST, word)) else {
        return vec![];
    };
    let mut bases = vec![stem.to_owned(), format!("{stem}e")];
    bases.extend(stem.strip_suffix('i').map(|stem| format!("{stem}y")));
    bases.extend(undoubled(stem));
    bases
}

/// What `word` may be a present form of, itself included.
pub(super) fn bases(word: &str) -> Vec<String> {
    let mut bases = vec![word.to_owned()];
    if let Some(stem) = word.strip_suffix("ing").filter(|stem| stem.len() > 1 && stem.is_ascii()) {
        bases.extend([stem.to_owned(), format!("{stem}e")]);
        bases.extend(undoubled(stem));
    }
    bases.extend(word.strip_suffix('s').filter(|stem| stem.len() > 1).map(str::to_owned));
    bases
}

/// `stop` for `stopp`.
fn undoubled(stem: &str) -> Option<String> {
    let (last, before) = (stem.chars().next_back()?, stem.chars().rev().nth(1)?);
    (last == before).then(|| stem[..stem.len() - last.len_utf8()].to_owned())
}

/// The first of the verbs that answer for `lemma`, or itself.
pub(super) fn group(lemma: &str) -> &str {
    let found = GROUPS.iter().find(|group| holds(group, lemma)).and_then(|group| group.split(' ').next());
    found.unwrap_or(lemma)
}

/// Whether one of the lemmas is a verb of mind and mood.
pub(super) fn are_inward(lemmas: &[String]) -> bool {
    lemmas.iter().any(|lemma| holds(INWARD, lemma))
}
