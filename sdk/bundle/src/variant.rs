//! The graphs that a folder offers, and which of them is opened.

use std::path::{Path, PathBuf};

use crate::error::BundleError;
use crate::file_range::{FileRange, FileRanges};
use crate::files::file_name;
use crate::precision::Precision;

/// One graph of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// The file's name without `.onnx`, such as `model_q4f16`.
    pub name: String,
    /// The graph.
    pub file: PathBuf,
    /// How its weights are stored: read from the graph for the variant that was opened, guessed from the name for the
    /// others; `None` where the name says nothing.
    pub precision: Option<Precision>,
    /// The size of graph and weights in bytes: exact for the variant that was opened; for the others that of the graph
    /// and of the files beside it whose names begin with the graph's (`model.onnx_data`, `model.onnx.data`, ...).
    pub bytes: u64,
}

/// How a variant is chosen.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// The variant to open: a name (`model_q4f16`), the end of one (`q4f16`, `fp16`; `fp32` or `full` where the name has
    /// no such end) or a precision ([`Precision::name`]). `None`, the default, lets `preference` decide.
    pub variant: Option<String>,
    /// The precisions that the engine likes, the best first; a variant of any other comes last. The default puts the
    /// smallest first, because decoding is bound by the bytes that a token reads: int4, int4-float16, int8, float16,
    /// float32.
    pub preference: Vec<Precision>,
    /// Files with weights that lie elsewhere than in the folder. None by default.
    pub files: Vec<FileRange>,
}

impl Default for OpenOptions {
    fn default() -> OpenOptions {
        let preference = vec![Precision::Int4, Precision::Int4Float16, Precision::Int8, Precision::Float16, Precision::Float32];
        OpenOptions { variant: None, preference, files: vec![] }
    }
}

/// The names that graphs of a decoder go by, the best first. Optimum once wrote the graphs without and with past
/// apart, then merged them, and now writes a single one.
const STEMS: [&str; 4] = ["model", "decoder_model_merged", "decoder_with_past_model", "decoder_model"];

/// Ends of graph names and their precisions, as the conversion script of transformers.js writes them.
const SUFFIXES: [(&str, Precision); 8] = [
    ("", Precision::Float32),
    ("fp16", Precision::Float16),
    ("int8", Precision::Int8),
    ("quantized", Precision::Int8),
    ("uint8", Precision::Int8),
    ("q4", Precision::Int4),
    ("q4f16", Precision::Int4Float16),
    ("bnb4", Precision::NormalFloat4),
];

/// Requests that mean the graph without a suffix.
const NO_SUFFIX: [&str; 2] = ["fp32", "full"];

/// The stem of a graph's name (its rank in [`STEMS`]) and the suffix; `None` for a name that no decoder goes by.
fn stem_and_suffix(name: &str) -> Option<(usize, &str)> {
    STEMS.iter().enumerate().find_map(|(rank, stem)| {
        let rest = name.strip_prefix(stem)?;
        if rest.is_empty() { Some((rank, "")) } else { Some((rank, rest.strip_prefix('_')?)) }
    })
}

/// The graphs among `files` that go by a decoder's name, the best stem first.
pub(crate) fn variants_among(files: &[PathBuf], given: &FileRanges) -> Vec<Variant> {
    let mut found = Vec::new();
    for file in files {
        let Some(name) = file_name(file).strip_suffix(".onnx") else { continue };
        let Some((stem, suffix)) = stem_and_suffix(name) else { continue };
        let known = SUFFIXES.iter().position(|row| row.0 == suffix);
        let variant = Variant::at(file, known.map(|row| SUFFIXES[row].1), files, given);
        found.push(((stem, known.unwrap_or(SUFFIXES.len()), suffix.to_owned()), variant));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found.into_iter().map(|(_, variant)| variant).collect()
}

impl Variant {
    /// The variant at `file`, with its weights among `files`.
    pub(crate) fn at(file: &Path, precision: Option<Precision>, files: &[PathBuf], given: &FileRanges) -> Variant {
        let name = file_name(file);
        let is_part = |other: &Path| {
            let rest = file_name(other).strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("_data") || rest.starts_with(".data"))
        };
        let size = |part: &PathBuf| match given.get(part) {
            Some(given) => given.bytes,
            None => part.metadata().map_or(0, |about| about.len()),
        };
        let bytes = files.iter().filter(|other| is_part(other)).map(size).sum();
        Variant { name: name.strip_suffix(".onnx").unwrap_or(name).into(), file: file.into(), precision, bytes }
    }

    /// Whether a request for `wanted` means this variant, the surest way first.
    fn answers(&self, wanted: &str) -> [bool; 3] {
        let suffix = stem_and_suffix(&self.name).map(|(_, suffix)| suffix);
        let by_suffix = suffix.is_some_and(|suffix| match suffix {
            "" => NO_SUFFIX.contains(&wanted),
            suffix => suffix == wanted.trim_start_matches('_'),
        });
        [self.name == wanted, by_suffix, self.precision.is_some_and(|precision| precision.name() == wanted)]
    }

    /// Whether a request for `wanted` means this variant.
    pub(crate) fn is_meant_by(&self, wanted: &str) -> bool {
        self.answers(plain(wanted)).contains(&true)
    }
}

/// The place in `variants` of the one that `options` ask for, and why it is that one.
pub(crate) fn choose(folder: &Path, variants: &[Variant], options: &OpenOptions) -> Result<(usize, String), BundleError> {
    let Some(wanted) = &options.variant else { return preferred(folder, variants, &options.preference) };
    let matching = |way: usize| variants.iter().position(|variant| variant.answers(plain(wanted))[way]);
    let place = (0..3).find_map(matching).ok_or_else(|| unknown(folder, wanted, variants))?;
    let variant = &variants[place];
    if is_supported(variant) { Ok((place, format!("asked for as `{wanted}`"))) } else { Err(unsupported(variant, variants)) }
}

/// The variant that comes first in the order of preference.
fn preferred(folder: &Path, variants: &[Variant], preference: &[Precision]) -> Result<(usize, String), BundleError> {
    let rank = |variant: &Variant| {
        let place = preference.iter().position(|precision| Some(*precision) == variant.precision);
        place.unwrap_or(preference.len())
    };
    let supported = || variants.iter().enumerate().filter(|(_, variant)| is_supported(variant));
    let Some((place, _)) = supported().min_by_key(|(_, variant)| rank(variant)) else {
        return Err(variants.first().map_or_else(|| unknown(folder, "", variants), |first| unsupported(first, variants)));
    };
    if supported().count() == 1 {
        return Ok((place, "the only one that can be used".into()));
    }
    let order: Vec<&str> = preference.iter().map(|precision| precision.name()).collect();
    let among = names(supported().map(|(_, variant)| variant));
    Ok((place, format!("the first in the order {} among {among}", order.join(", "))))
}

/// The error for a variant that Kinglet cannot run.
pub(crate) fn unsupported(variant: &Variant, variants: &[Variant]) -> BundleError {
    let available = names(variants.iter().filter(|variant| is_supported(variant)));
    BundleError::UnsupportedVariant { file: variant.file.clone(), available }
}

/// The error for a variant that is not there.
pub(crate) fn unknown(folder: &Path, wanted: &str, variants: &[Variant]) -> BundleError {
    let about = |variant: &Variant| match variant.precision {
        Some(precision) => format!("{} ({precision})", variant.name),
        None => variant.name.clone(),
    };
    let available: Vec<String> = variants.iter().map(about).collect();
    BundleError::UnknownVariant { folder: folder.into(), requested: wanted.into(), available: available.join(", ") }
}

fn is_supported(variant: &Variant) -> bool {
    variant.precision != Some(Precision::NormalFloat4)
}

/// A request without what a path adds to a name.
fn plain(wanted: &str) -> &str {
    let wanted = wanted.strip_prefix("onnx/").unwrap_or(wanted);
    wanted.strip_suffix(".onnx").unwrap_or(wanted)
}

/// Names in one line, for a message.
fn names<'a>(variants: impl Iterator<Item = &'a Variant>) -> String {
    let names: Vec<&str> = variants.map(|variant| variant.name.as_str()).collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(|name| Path::new("m/onnx").join(name)).collect()
    }

    const COMMUNITY: [&str; 8] = [
        "model.onnx",
        "model_bnb4.onnx",
        "model_fp16.onnx",
        "model_int8.onnx",
        "model_q4.onnx",
        "model_q4f16.onnx",
        "model_quantized.onnx",
        "model_uint8.onnx",
    ];

    #[test]
    fn only_names_of_decoders_count_and_the_merged_graph_comes_first() {
        let files = paths(&[
            "decoder_model.onnx",
            "decoder_model_merged.onnx",
            "decoder_model_merged_quantized.onnx",
            "decoder_with_past_model.onnx",
            "encoder_model.onnx",
            "model_q2f16.onnx",
            "modelling.onnx",
            "model.onnx_data",
            "vision_encoder.onnx",
        ]);
        let names: Vec<String> = variants_among(&files, &FileRanges::default()).into_iter().map(|variant| variant.name).collect();
        let expected =
            ["model_q2f16", "decoder_model_merged", "decoder_model_merged_quantized", "decoder_with_past_model", "decoder_model"];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_request_finds_the_variant_by_name_suffix_or_precision() {
        struct Case(Option<&'static str>, &'static str);
        let variants = variants_among(&paths(&COMMUNITY), &FileRanges::default());
        for Case(request, name) in [
            Case(None, "model_q4"),
            Case(Some("model"), "model"),
            Case(Some("fp32"), "model"),
            Case(Some("full"), "model"),
            Case(Some("float32"), "model"),
            Case(Some("fp16"), "model_fp16"),
            Case(Some("_q4f16"), "model_q4f16"),
            Case(Some("int4"), "model_q4"),
            Case(Some("int4-float16"), "model_q4f16"),
            Case(Some("int8"), "model_int8"),
            Case(Some("uint8"), "model_uint8"),
            Case(Some("onnx/model_quantized.onnx"), "model_quantized"),
        ] {
            let options = OpenOptions { variant: request.map(Into::into), ..OpenOptions::default() };
            let (place, _) = choose(Path::new("m"), &variants, &options).unwrap();
            assert_eq!(variants[place].name, name, "{request:?}");
        }
    }

    #[test]
    fn the_engines_preference_decides_and_is_told() {
        let variants = variants_among(&paths(&COMMUNITY), &FileRanges::default());
        let options = OpenOptions { variant: None, preference: vec![Precision::BFloat16, Precision::Float16], files: vec![] };
        let (place, why) = choose(Path::new("m"), &variants, &options).unwrap();
        assert_eq!(variants[place].name, "model_fp16");
        assert!(why.contains("bfloat16, float16") && why.contains("model_q4f16") && !why.contains("bnb4"), "{why}");
    }

    #[test]
    fn what_is_not_there_and_what_cannot_run_are_told_apart() {
        let variants = variants_among(&paths(&COMMUNITY), &FileRanges::default());
        let asking = |name: &str| OpenOptions { variant: Some(name.into()), ..OpenOptions::default() };
        let message = choose(Path::new("m"), &variants, &asking("q3")).unwrap_err().to_string();
        assert!(message.contains("`q3`") && message.contains("model_q4f16"), "{message}");

        let error = choose(Path::new("m"), &variants, &asking("bnb4")).unwrap_err();
        assert!(matches!(&error, BundleError::UnsupportedVariant { available, .. } if available.contains("model_q4")), "{error}");

        let only = variants_among(&paths(&["model_bnb4.onnx"]), &FileRanges::default());
        let error = choose(Path::new("m"), &only, &OpenOptions::default()).unwrap_err();
        assert!(matches!(&error, BundleError::UnsupportedVariant { available, .. } if available == "none"), "{error}");
    }
}
