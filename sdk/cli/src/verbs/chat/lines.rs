//! The lines of a conversation: what a person types, with editing and history, or what comes through a pipe.

use crate::failure::Failure;
use crate::interrupt::Interrupt;
use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{Config, Editor};
use std::io::{self, BufRead, StdinLock};

/// Where lines come from.
pub(super) enum Lines {
    /// A person, who is asked with this mark. What was typed is kept in memory alone.
    Person(Box<Editor<(), MemHistory>>, String),
    Pipe {
        stdin: StdinLock<'static>,
        /// Number of the line that was read last.
        number: u64,
    },
}

impl Lines {
    /// Those of a person, where there is a mark to ask with; else those of stdin.
    pub(super) fn new(mark: Option<String>) -> Lines {
        let config = Config::builder().auto_add_history(true).build();
        let editor = mark.map(|mark| (Editor::with_history(config, MemHistory::new()), mark));
        match editor {
            Some((Ok(editor), mark)) => Lines::Person(Box::new(editor), mark),
            _ => Lines::Pipe { stdin: io::stdin().lock(), number: 0 },
        }
    }

    /// The next line; `None` at the end.
    ///
    /// # Errors
    /// A sentence for a stream that cannot be read, and for a line that is no text.
    pub(super) fn next(&mut self, interrupt: &Interrupt) -> Result<Option<String>, Failure> {
        match self {
            Lines::Person(editor, mark) => typed(editor, mark, interrupt),
            Lines::Pipe { stdin, number } => {
                *number += 1;
                piped(stdin, *number)
            }
        }
    }
}

/// While a line is typed, the editor takes Ctrl-C as a key.
fn typed(editor: &mut Editor<(), MemHistory>, mark: &str, interrupt: &Interrupt) -> Result<Option<String>, Failure> {
    loop {
        match editor.readline(&("> ", format!("{mark} "))) {
            Ok(line) => return Ok(Some(line)),
            Err(ReadlineError::Eof) => return Ok(None),
            Err(ReadlineError::Interrupted) => interrupt.pressed(),
            Err(error) => return Err(Failure::failed(format!("the terminal cannot be read ({error}); pipe lines into stdin"))),
        }
    }
}

fn piped(stdin: &mut StdinLock<'static>, number: u64) -> Result<Option<String>, Failure> {
    let mut line = Vec::new();
    let read = stdin.read_until(b'\n', &mut line);
    if read.map_err(|error| Failure::failed(format!("stdin cannot be read ({error})")))? == 0 {
        return Ok(None);
    }
    let text = String::from_utf8(line);
    text.map(Some).map_err(|_| Failure::failed(format!("line {number} of stdin is no UTF-8 text; convert it to UTF-8")))
}
