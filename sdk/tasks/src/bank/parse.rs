//! The text of a bank.

use std::collections::HashMap;

/// How a reply is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Casual,
    Polite,
}

/// Why a bank cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BankError {
    /// A heading is not `# intent tone`.
    #[error("line {line}: a heading is `# intent tone`, with the tone `casual` or `polite`")]
    Heading {
        /// From 1.
        line: usize,
    },
    /// A reply stands before the first heading.
    #[error("line {line}: a reply before the first heading `# intent tone`")]
    NoHeading {
        /// From 1.
        line: usize,
    },
    /// No reply at all.
    #[error("it holds no replies without a slot; write one on each line, below a heading `# intent tone`")]
    Empty,
}

/// Replies under one heading.
pub(super) struct Group {
    pub(super) intent: String,
    pub(super) tone: Tone,
    pub(super) lines: Vec<String>,
    /// The place of its intent among the intents, in the order in which they are named first.
    pub(super) order: usize,
}

/// The groups in the order of the text.
pub(super) fn parse(text: &str) -> Result<Vec<Group>, BankError> {
    let mut groups: Vec<Group> = vec![];
    let mut orders: HashMap<String, usize> = HashMap::new();
    let text = text.trim_start_matches('\u{feff}');
    for (line, number) in text.lines().map(str::trim).zip(1..).filter(|(line, _)| !line.is_empty()) {
        if let Some(heading) = line.strip_prefix("# ") {
            let (intent, tone) = heading.trim().split_once(' ').ok_or(BankError::Heading { line: number })?;
            let tone = match tone.trim() {
                "casual" => Tone::Casual,
                "polite" => Tone::Polite,
                _ => return Err(BankError::Heading { line: number }),
            };
            let next = orders.len();
            let order = *orders.entry(intent.to_owned()).or_insert(next);
            groups.push(Group { intent: intent.to_owned(), tone, lines: vec![], order });
        } else {
            groups.last_mut().ok_or(BankError::NoHeading { line: number })?.lines.push(line.to_owned());
        }
    }
    if groups.iter().all(|group| group.lines.is_empty()) { Err(BankError::Empty) } else { Ok(groups) }
}
