//! Reading a small JSON file, and the shapes that a number may have in one.

use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::BundleError;
use crate::files::read_small;

/// Reads `path`, `None` where there is no such file. Fields that `T` does not have are ignored.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, BundleError> {
    let Some(content) = read_small(path)? else { return Ok(None) };
    kinglet_guard::json::parse(&content).map(Some).map_err(|source| BundleError::Json { path: path.into(), source })
}

/// A number, or a list of them.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected a whole number or a list of whole numbers")]
pub(crate) enum OneOrMany {
    One(i64),
    Many(Vec<i64>),
}

impl OneOrMany {
    /// The number that they all are; `None` where they differ, as in models whose layers have different widths.
    pub(crate) fn same(&self) -> Option<i64> {
        let numbers = self.numbers();
        numbers.first().copied().filter(|first| numbers.iter().all(|number| number == first))
    }

    /// All of them.
    pub(crate) fn numbers(&self) -> &[i64] {
        match self {
            OneOrMany::One(number) => std::slice::from_ref(number),
            OneOrMany::Many(numbers) => numbers,
        }
    }
}

/// Tokens with a role, which all three files name alike.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Tokens {
    pub(crate) eos_token_id: Option<OneOrMany>,
    pub(crate) bos_token_id: Option<OneOrMany>,
    pub(crate) pad_token_id: Option<OneOrMany>,
}
