//! Byte-level vocabularies: each token is a string of bytes, written with one printable character a byte.

/// Bytes that came and are not yet a whole character.
#[derive(Debug, Clone, Default)]
pub(super) struct ByteStream {
    /// At most three bytes between calls.
    pending: Vec<u8>,
}

impl ByteStream {
    /// Takes a token's bytes and gives the characters that are complete. Bytes that can be part of no character give
    /// U+FFFD, as `String::from_utf8_lossy` does for the whole text.
    pub(super) fn push(&mut self, token: &str) -> String {
        self.pending.extend(token_bytes(token));
        let mut out = String::new();
        let mut done = 0;
        for chunk in self.pending.utf8_chunks() {
            out.push_str(chunk.valid());
            done += chunk.valid().len();
            let broken = chunk.invalid();
            if done + broken.len() == self.pending.len() && is_beginning(broken) {
                break;
            }
            if !broken.is_empty() {
                out.push(char::REPLACEMENT_CHARACTER);
                done += broken.len();
            }
        }
        self.pending.drain(..done);
        out
    }

    /// Ends the text: bytes of an incomplete character become U+FFFD.
    pub(super) fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.pending)).into_owned()
    }
}

/// Whether further bytes could make this a character.
fn is_beginning(bytes: &[u8]) -> bool {
    !bytes.is_empty() && std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

/// The bytes of a token; those of its own text where it is not written in the byte alphabet, as added tokens are.
fn token_bytes(token: &str) -> Vec<u8> {
    let bytes: Option<Vec<u8>> = token.chars().map(byte_of).collect();
    bytes.unwrap_or_else(|| token.as_bytes().to_vec())
}

/// The byte that a character of GPT-2's byte alphabet stands for: printable Latin-1 characters stand for themselves, the
/// other bytes were given the code points from U+0100 on in order.
fn byte_of(c: char) -> Option<u8> {
    match u32::from(c) {
        code @ (0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff) => u8::try_from(code).ok(),
        code @ 0x100..=0x120 => u8::try_from(code - 0x100).ok(),
        code @ 0x121..=0x142 => u8::try_from(code - 0x121 + 0x7f).ok(),
        0x143 => Some(0xad),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tokenizers::pre_tokenizers::byte_level::ByteLevel;

    use super::{ByteStream, byte_of};

    #[test]
    fn the_byte_alphabet_is_the_librarys() {
        let alphabet: BTreeSet<char> = ByteLevel::alphabet().into_iter().collect();
        let ours: BTreeSet<char> = (0..0x200).filter_map(char::from_u32).filter(|&c| byte_of(c).is_some()).collect();
        assert_eq!(ours, alphabet);
        let bytes: BTreeSet<u8> = ours.iter().filter_map(|&c| byte_of(c)).collect();
        assert_eq!(bytes.len(), 256);
        assert_eq!(byte_of('Ġ'), Some(b' '));
        assert_eq!(byte_of('Ċ'), Some(b'\n'));
    }

    #[test]
    fn characters_come_out_whole() {
        struct Case {
            tokens: &'static [&'static str],
            pieces: &'static [&'static str],
            rest: &'static str,
        }
        let cases = [
            Case { tokens: &["hi", "Ġyou"], pieces: &["hi", " you"], rest: "" },
            Case { tokens: &["Ã", "©"], pieces: &["", "é"], rest: "" },
            Case { tokens: &["aÃ", "©b"], pieces: &["a", "éb"], rest: "" },
            Case { tokens: &["ðŁĺ", "Ģ"], pieces: &["", "😀"], rest: "" },
            Case { tokens: &["ðŁĺ"], pieces: &[""], rest: "\u{fffd}" },
            Case { tokens: &["ðŁ", "a"], pieces: &["", "\u{fffd}a"], rest: "" },
            Case { tokens: &["ÿ", "ÿ"], pieces: &["\u{fffd}", "\u{fffd}"], rest: "" },
            Case { tokens: &["<|日|>"], pieces: &["<|日|>"], rest: "" },
        ];
        for case in cases {
            let mut stream = ByteStream::default();
            let pieces: Vec<String> = case.tokens.iter().map(|token| stream.push(token)).collect();
            assert_eq!(pieces, case.pieces, "{:?}", case.tokens);
            assert_eq!(stream.finish(), case.rest, "{:?}", case.tokens);
        }
    }
}
