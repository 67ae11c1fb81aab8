//! The kinds of files that are read whole, and the largest size of each.

use std::fmt;

const MIB: u64 = 1 << 20;

/// A kind of file that is read whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `config.json`, `genai_config.json`, `generation_config.json`.
    Configuration,
    /// `tokenizer.json`.
    Tokenizer,
    /// `tokenizer_config.json` and `special_tokens_map.json`.
    TokenizerConfiguration,
    /// A chat template, in a file of its own or in JSON.
    Template,
    /// `kinglet.json`.
    Extras,
    /// `conformance.json`.
    Vectors,
    /// The record of a probe.
    Record,
    /// A bank of replies.
    Bank,
    /// Vectors of a bank's replies, made ahead.
    BankVectors,
    /// A table of n-grams, with their evidence for a bank's intents, or for a reply.
    Ngrams,
}

impl Kind {
    /// Every kind, for tables and tests.
    pub const ALL: [Kind; 10] = [
        Kind::Configuration,
        Kind::Tokenizer,
        Kind::TokenizerConfiguration,
        Kind::Template,
        Kind::Extras,
        Kind::Vectors,
        Kind::Record,
        Kind::Bank,
        Kind::BankVectors,
        Kind::Ngrams,
    ];

    /// The most bytes that a file of this kind may have: at least seven times as many as the largest that is known to be in use,
    /// which is 35 MB for a tokenizer and 2 MB for its configuration.
    pub const fn limit_bytes(self) -> u64 {
        match self {
            Kind::Configuration => 16 * MIB,
            Kind::Tokenizer => 256 * MIB,
            Kind::TokenizerConfiguration => 32 * MIB,
            Kind::Template => 4 * MIB,
            Kind::Extras | Kind::Record => MIB,
            Kind::Vectors | Kind::BankVectors | Kind::Ngrams => 64 * MIB,
            Kind::Bank => 8 * MIB,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Configuration => "a model's configuration",
            Kind::Tokenizer => "a tokenizer",
            Kind::TokenizerConfiguration => "a tokenizer's configuration",
            Kind::Template => "a chat template",
            Kind::Extras => "a kinglet.json",
            Kind::Vectors => "a file of conformance vectors",
            Kind::Record => "the record of a probe",
            Kind::Bank => "a bank of replies",
            Kind::BankVectors => "the vectors of a bank of replies",
            Kind::Ngrams => "a table of n-grams",
        })
    }
}
