//! Replies that speak about the task: of the instruction, of being a model, or with a blank to fill in.

use crate::wording;
use regex::RegexSet;
use std::collections::HashSet;
use std::sync::LazyLock;

/// So many words in a row that the instructions have as well are taken from there.
const TAKEN_WORDS: usize = 5;

/// Over the plain form of the whole reply.
const IN_PLAIN: &[&str] = &[
    // Being a model.
    r"\b(?:as|i'?m|i am|being|just|only) (?:just |only |merely )?an? (?:\w+ )?(?:ai|a\.i\.|artificial|language model|large language|virtual assistant|chat ?bot|bot|digital assistant|computer program|helpful assistant|friendly assistant)\b",
    r"\b(?:ai|language|chat|large) (?:language )?(?:model|assistant)\b|\bas an assistant\b",
    r"\b(?:openai|chatgpt|smollm|hugging face|my training data|knowledge cutoff|i was trained|my programming|my creators)\b",
    r"\bi (?:do not|don't|cannot|can't|am unable to|am not able to) (?:have (?:personal|feelings|emotions|access to|a body|the ability)|browse|access (?:the internet|real)|provide (?:personal|medical|legal|real))",
    // Announcing what follows.
    r"^(?:(?:sure|certainly|of course|okay|ok|absolutely|great|yes)(?: thing)?[,!. ]+)?(?:here(?:'s| is| are)|below (?:is|are)|these are|this is|i suggest|i would suggest) (?:\w+ ){0,6}(?:repl(?:y|ies)|responses?|answers?|suggestions?|options?|examples?|sentences?|drafts?|versions?|rewrites?|translations?|ways?)\b",
    r"^(?:sure|certainly|of course|okay|ok|absolutely)[,!. ]+(?:here(?:'s| is| are)|below (?:is|are))(?: an?| one| some| two| three| the| my| your)?(?:[^.!?]*:|$)",
    r"^(?:(?:suggested|possible|sample|short|friendly|polite|example|the|my|your|casual|formal) )*(?:(?:reply|replies|response|answer|message|suggestion|option|person|speaker|example|output|input) ?[0-9a-d]{0,2}|user|assistant|agent|customer|system|human|bot|ai|me|them|you|friend|translation|subject|question|task|instructions?|prompt|[qa]) ?:",
    r"[.!?] (?:user|assistant|customer|agent|system|human|me|them|reply|response) ?: ",
    // Speaking of the reply.
    r"\b(?:(?:one|a|in|single) )?short,? (?:and )?(?:friendly|polite|casual|simple) (?:sentence|reply|response|message|answer|way|tone)\b",
    r"\b(?:possible|suggested|appropriate|suitable|friendly|polite|good) (?:reply|replies|response|responses)\b",
    r"\b(?:reply|respond|replying|responding) (?:to|with) (?:the|this|that|a|an|your|their|his|her) (?:\w+ )?(?:message|text|question|user|customer|sender|conversation|prompt|person|statement|sentence)\b",
    r"\b(?:the|this|your) (?:prompt|dialogue|dialog|given (?:text|message|context|conversation)|text above|above (?:text|message|conversation)|last message|conversation (?:is about|above|between)|sender|(?:user|recipient|speaker) (?:is|wants|asks|asked|says|said|has|needs|seems|may|might|would|can|could))\b",
    r"\b(?:you|i|one|we) (?:can|could|should|might|would|may) (?:also |simply |just )?(?:reply|respond|answer|say|write)(?: something)?(?:[ ,]*[:\x22]| (?:with|by|like|as)\b)",
    r"\b(?:rewrite|paraphrase)\b|\b(?:word|character) limit\b|\bin (?:one|a single|two) (?:short )?sentences?\b|\bin (?:english|the language of the conversation) only\b",
    // Blanks.
    r"\[[^\]]*\]|\{[^}]*\}|<[a-z/|][^>]*>|<\||___+|\b(?:insert|your) (?:name|date|time|place|location) (?:here|goes)\b|\binsert (?:name|date|time|place|your)\b",
    // Two texts in quotes are a choice.
    r#""[^"]+"[^"]*"[^"]+""#,
];
/// Over each line as it was written.
const IN_LINES: &[&str] = &[
    // The marks of Markdown: lists, headings, emphasis, code, links.
    r"^\s*(?:[-+*\x{2022}] |[0-9]{1,2}[.)] |#{1,6} |> |[a-d]\) )",
    r"\*\*|__[A-Za-z]|```|`[^`]+`|\]\(|^---+$|\|.*\|",
    // A stage direction.
    r"(?:^|\s)\*[A-Za-z][^*]*\*|^\([A-Za-z][^)]*\)$",
];

static PLAIN: LazyLock<RegexSet> = LazyLock::new(|| RegexSet::new(IN_PLAIN).unwrap_or_else(|e| unreachable!("{e}")));
static LINES: LazyLock<RegexSet> = LazyLock::new(|| RegexSet::new(IN_LINES).unwrap_or_else(|e| unreachable!("{e}")));

/// Whether a reply speaks about the task that its writer was given, or repeats a part of its instructions, and is therefore
/// no message to anyone.
pub(crate) fn is_about_the_task(instructions: Option<&str>, reply: &str) -> bool {
    // What is written as code loses its marks in plain form, so lines are read as they stand.
    reply.lines().any(|line| LINES.is_match(line))
        || PLAIN.is_match(&wording::plain(reply))
        || instructions.is_some_and(|instructions| is_taken_from(instructions, reply))
}

/// Whether a run of words is in both texts.
fn is_taken_from(instructions: &str, reply: &str) -> bool {
    let (told, replied) = (wording::words(instructions), wording::words(reply));
    let runs: HashSet<&[String]> = told.windows(TAKEN_WORDS).collect();
    replied.windows(TAKEN_WORDS).any(|run| runs.contains(run))
}

#[cfg(test)]
#[path = "meta_tests.rs"]
mod tests;
