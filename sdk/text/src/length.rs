//! How long tokens may be: what is made of a vocabulary takes a hundred bytes for each byte of a token, and a stack as deep as the
//! longest of them has characters.

use kinglet_guard::Shown;

/// Bytes that one token may have. The longest of vocabularies in use have some hundred.
const MAX_TOKEN_BYTES: usize = 4 << 10;

/// Bytes that all added tokens may have together. The most in use have less than a tenth of it.
const MAX_ADDED_BYTES: usize = 4 << 20;

/// An error in words where a token is too long.
pub(crate) fn check_token(token: &str) -> Result<(), String> {
    let bytes = token.len();
    if bytes <= MAX_TOKEN_BYTES {
        return Ok(());
    }
    Err(format!("the token `{}` has {bytes} bytes, and a token may have {MAX_TOKEN_BYTES} at most", Shown(token)))
}

/// An error in words where one of the added tokens is too long, or all of them together are.
pub(crate) fn check_added<'a>(tokens: impl IntoIterator<Item = &'a str>) -> Result<(), String> {
    let mut all = 0usize;
    for token in tokens {
        check_token(token)?;
        all = all.saturating_add(token.len());
    }
    check_together(all)
}

/// An error in words where added tokens of so many bytes together are too much.
pub(crate) fn check_together(bytes: usize) -> Result<(), String> {
    if bytes <= MAX_ADDED_BYTES {
        return Ok(());
    }
    Err(format!(
        "its added tokens, with those of its configuration, have {bytes} bytes together, and may have {MAX_ADDED_BYTES} at most"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_is_too_long_is_named_shortened_and_escaped() {
        assert_eq!(check_token(&"x".repeat(MAX_TOKEN_BYTES)), Ok(()));
        let error = check_token(&format!("\u{1b}{}", "x".repeat(MAX_TOKEN_BYTES))).unwrap_err();
        assert!(error.contains("`\\u{1b}xxx") && error.contains("4097 bytes") && error.contains("4096 at most"), "{error}");
        assert!(error.len() < 300, "{error}");
    }

    #[test]
    fn added_tokens_are_bounded_one_by_one_and_together() {
        let token = "x".repeat(MAX_TOKEN_BYTES);
        let most = MAX_ADDED_BYTES / MAX_TOKEN_BYTES;
        let many = |count: usize| check_added(std::iter::repeat_n(token.as_str(), count));
        assert_eq!(many(most), Ok(()));
        assert!(many(most + 1).unwrap_err().contains("together"));
        assert!(check_added(["a", format!("{token}x").as_str()]).unwrap_err().contains("4097 bytes"));
    }
}
