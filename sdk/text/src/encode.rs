//! Text to tokens, step by step: added tokens, normalizers, added tokens in normalized text, words, the model, and what goes
//! around a text.

use tokenizers::{Encoding, Model, OffsetType, PostProcessor, PreTokenizedString};

use crate::added::{AddedTokens, Admission};
use crate::pipeline::{Pipeline, guarded};
use crate::work::Work;

/// Encodes `text`, parsing those added tokens that `admission` lets in. With `add`, the tokens that the post-processor puts
/// around a text are there.
///
/// Where the model itself makes a control token out of text that was not admitted, as Unigram models do, that text is
/// encoded in parts; if even these are control tokens, it fails.
pub(crate) fn encode(
    pipeline: &Pipeline,
    added: &AddedTokens,
    text: &str,
    admission: &Admission<'_>,
    add: bool,
    work: &Work<'_>,
) -> tokenizers::Result<Vec<u32>> {
    let mut pieces = words(pipeline, added, text, admission, work)?;
    let tokenized = |mut pieces: PreTokenizedString| -> tokenizers::Result<_> {
        let admitted = added.controls_in(&pieces, admission);
        guarded(|| {
            pieces.tokenize(|word| {
                work.bounds.check()?;
                pipeline.model.tokenize(word.get())
            })
        })?;
        Ok((added.controls_in(&pieces, admission) == admitted, pieces))
    };
    // Only where there are cuts can a second way be needed.
    let again = matches!(admission, Admission::Cuts { .. }).then(|| pieces.clone());
    let (mut guards_hold, mut done) = tokenized(pieces)?;
    if let Some(again) = again.filter(|_| !guards_hold) {
        pieces = again;
        pieces.split(|_, piece| Ok(admission.cut(piece)))?;
        (guards_hold, done) = tokenized(pieces)?;
    }
    if !guards_hold {
        return Err("the vocabulary has a control token that also stands for ordinary text, and the text has it".into());
    }
    let encoding = done.into_encoding(None, 0, OffsetType::None)?;
    Ok(surrounded(pipeline, encoding, add)?.get_ids().to_vec())
}

/// The words of a text, and the added tokens between them.
fn words(
    pipeline: &Pipeline,
    added: &AddedTokens,
    text: &str,
    admission: &Admission<'_>,
    work: &Work<'_>,
) -> tokenizers::Result<PreTokenizedString> {
    work.bounds.check()?;
    let mut pieces = PreTokenizedString::from(text);
    pieces.split(|_, piece| added.split_plain(piece, admission, work))?;
    pieces.split(|_, mut piece| {
        pipeline.normalizers.normalize(&mut piece, work)?;
        added.split_normalized(piece, admission, work)
    })?;
    pipeline.pre_tokenizers.split(&mut pieces, work)?;
    Ok(pieces)
}

/// The tokens of a text with those that belong around it.
fn surrounded(pipeline: &Pipeline, encoding: Encoding, add: bool) -> tokenizers::Result<Encoding> {
    match &pipeline.post_processor {
        Some(post_processor) => guarded(|| post_processor.process(encoding, None, add)),
        None => Ok(encoding),
    }
}
