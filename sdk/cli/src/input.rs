//! Input that a user names: files, stdin, and lines of either.

use crate::failure::Failure;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::path::Path;

/// No text that is read as a whole is longer.
const LIMIT_BYTES: u64 = 64 << 20;

/// Where a text comes from, for messages.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source<'a> {
    Stdin,
    File(&'a Path),
}

impl std::fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::Stdin => f.write_str("stdin"),
            Source::File(path) => write!(f, "`{}`", path.display()),
        }
    }
}

impl<'a> Source<'a> {
    /// `-` is stdin, everything else a file.
    pub(crate) fn of(path: &'a Path) -> Source<'a> {
        if path.as_os_str() == "-" { Source::Stdin } else { Source::File(path) }
    }

    /// Opens it.
    ///
    /// # Errors
    /// A sentence for a file that is missing, a folder, or unreadable.
    pub(crate) fn open(self) -> Result<Box<dyn BufRead>, Failure> {
        match self {
            Source::Stdin => {
                if io::stdin().is_terminal() {
                    log::warn!("reading from the terminal; end with Ctrl-D");
                }
                Ok(Box::new(BufReader::new(io::stdin())))
            }
            Source::File(path) => Ok(Box::new(BufReader::new(open_file(path)?))),
        }
    }

    /// All of its text, without a byte order mark.
    ///
    /// # Errors
    /// As [`open`](Self::open), and for a text that is longer than 64 MiB or no UTF-8.
    pub(crate) fn text(self) -> Result<String, Failure> {
        text_of(self.open()?, self, LIMIT_BYTES)
    }

    /// Its lines that hold anything, with their numbers from 1.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub(crate) fn lines(self) -> Result<Vec<(usize, String)>, Failure> {
        let text = self.text()?;
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        Ok(lines.map(|(index, line)| (index + 1, line.to_owned())).collect())
    }
}

fn open_file(path: &Path) -> Result<File, Failure> {
    let shown = path.display();
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Failure::failed(format!("there is no file `{shown}`; check the path")),
        _ => Failure::failed(format!("`{shown}` cannot be read ({error}); check its permissions")),
    };
    // Asked before it is opened, since opening a pipe would wait for a writer.
    let kind = path.metadata().map_err(failed)?.file_type();
    if kind.is_dir() {
        return Err(Failure::failed(format!("`{shown}` is a folder; give a file")));
    }
    if !kind.is_file() && !is_descriptor(path) {
        return Err(Failure::failed(format!("`{shown}` is a pipe or a device; give a file, or `-` and pipe into stdin")));
    }
    File::open(path).map_err(failed)
}

/// Whether a path stands for a descriptor that this process was given, as shells write a command's output: `<(command)`.
fn is_descriptor(path: &Path) -> bool {
    path == Path::new("/dev/stdin") || ["/dev/fd", "/proc/self/fd"].iter().any(|folder| path.parent() == Some(Path::new(folder)))
}

fn text_of(stream: Box<dyn BufRead>, source: Source<'_>, limit_bytes: u64) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let read = stream.take(limit_bytes + 1).read_to_end(&mut bytes);
    read.map_err(|error| Failure::failed(format!("{source} cannot be read ({error})")))?;
    if bytes.len() as u64 > limit_bytes {
        return Err(Failure::failed(format!("{source} holds more than {} MiB; give a shorter text", limit_bytes >> 20)));
    }
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).map(<[u8]>::to_vec).unwrap_or(bytes);
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure::failed(format!("{source} is no UTF-8 text: byte {at} begins no character; convert it to UTF-8"))
    })
}

/// The text of an argument, or of stdin where there is none.
pub(crate) fn argument_or_stdin(argument: Option<&str>) -> Result<String, Failure> {
    match argument {
        Some(text) => Ok(text.to_owned()),
        None => Source::Stdin.text(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(bytes: &'static [u8]) -> Box<dyn BufRead> {
        Box::new(bytes)
    }

    #[test]
    fn texts_are_whole_short_enough_and_utf8() {
        struct Case(&'static [u8], Result<&'static str, &'static str>);
        for Case(bytes, expected) in [
            Case(b"", Ok("")),
            Case(b"abcd", Ok("abcd")),
            Case(b"abcde", Err("more than")),
            Case(b"ab\xff", Err("byte 2")),
            Case(b"\xef\xbb\xbfa", Ok("a")),
        ] {
            match (text_of(stream(bytes), Source::Stdin, 4), expected) {
                (Ok(text), Ok(expected)) => assert_eq!(text, expected),
                (Err(failure), Err(word)) => assert!(failure.to_string().contains(word), "{failure}"),
                (got, expected) => panic!("{got:?} is not {expected:?}"),
            }
        }
    }

    #[test]
    fn files_that_cannot_be_read_have_their_own_sentences() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing.txt");
        assert!(Source::of(&missing).text().unwrap_err().to_string().contains("there is no file"));
        assert!(Source::of(folder.path()).text().unwrap_err().to_string().contains("is a folder"));
        assert!(matches!(Source::of("-".as_ref()), Source::Stdin));
        if cfg!(unix) {
            assert!(Source::of("/dev/zero".as_ref()).text().unwrap_err().to_string().contains("a pipe or a device"));
        }
    }

    #[test]
    fn blank_lines_are_skipped_and_numbers_kept() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "a\n\n  \r\nb \n").unwrap();
        assert_eq!(Source::of(file.path()).lines().unwrap(), [(1, "a".to_owned()), (4, "b ".to_owned())]);
    }
}
