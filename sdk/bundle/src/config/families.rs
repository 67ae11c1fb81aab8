//! Model types: those that are known to run, and the usual obstacles to running others.
//!
//! A name decides nothing: a graph is run where all of it is known, whatever its type is called. Where it is not, the type often
//! says why.

use crate::BundleError;

/// Decoders with dense layers, causal attention and rotary positions: what the engines are built for. Names are those
/// of `model_type` in `config.json` and of `model.type` in `genai_config.json`, where the two differ both.
const KNOWN: [&str; 29] = [
    "arcee",
    "cohere",
    "cohere2",
    "ernie4_5",
    "exaone",
    "exaone4",
    "gemma",
    "gemma2",
    "gemma3_text",
    "glm",
    "glm4",
    "granite",
    "helium",
    "hunyuan_v1_dense",
    "hunyuandensev1",
    "internlm2",
    "llama",
    "ministral",
    "mistral",
    "nemotron",
    "olmo",
    "olmo2",
    "openelm",
    "phi",
    "phi3",
    "qwen2",
    "qwen3",
    "smollm3",
    "stablelm",
];

const ENCODER_DECODER: &str = "it is an encoder with a decoder, and Kinglet runs decoders alone";
const ENCODER: &str = "it is an encoder, which generates no text";
const SENSES: &str = "it takes pictures or sound, and Kinglet runs language models; use the text-only model of the same family";
const EXPERTS: &str = "it has a mixture of experts, and Kinglet runs dense models";
const RECURRENT: &str = "its layers keep a recurrent state, and Kinglet keeps keys and values only";
const UNKNOWN: &str = "Kinglet does not know how it computes";

/// Types that people try, by what mostly stands in the way of running them.
const HINDERED: [(&str, &[&str]); 5] = [
    (ENCODER_DECODER, &["t5", "mt5", "umt5", "bart", "mbart", "pegasus", "marian", "m2m_100", "nllb-moe", "led", "t5gemma"]),
    (ENCODER, &["bert", "roberta", "xlm-roberta", "distilbert", "deberta-v2", "electra", "mpnet", "modernbert", "nomic_bert"]),
    (
        SENSES,
        &[
            "whisper",
            "moonshine",
            "gemma3",
            "gemma3n",
            "gemma4",
            "phi3v",
            "phi4mm",
            "qwen2_vl",
            "qwen2_5_vl",
            "qwen3_vl",
            "qwen3_5",
            "llava",
            "idefics3",
            "smolvlm",
            "paligemma",
            "mllama",
            "mistral3",
            "florence2",
            "lfm2_vl",
            "lfm2_audio",
        ],
    ),
    (
        EXPERTS,
        &["mixtral", "phimoe", "qwen2_moe", "qwen3_moe", "qwen3_5_moe", "gpt_oss", "gptoss", "olmoe", "granitemoe", "lfm2_moe"],
    ),
    (
        RECURRENT,
        &["mamba", "mamba2", "rwkv", "recurrent_gemma", "jamba", "lfm2", "granitemoehybrid", "bamba", "falcon_h1", "zamba2"],
    ),
];

/// The usual obstacle to running a model of that type, where one is known.
pub(super) fn hindrance(model_type: &str) -> Option<&'static str> {
    HINDERED.iter().find(|(_, types)| types.contains(&model_type)).map(|(reason, _)| *reason)
}

/// The error for a model of that type whose graph is no decoder; `None` for known types, of which that is not to be expected.
pub(super) fn no_decoder(model_type: &str) -> Option<BundleError> {
    (!KNOWN.contains(&model_type)).then(|| refusal(model_type, hindrance(model_type).unwrap_or(UNKNOWN)))
}

/// The error for a model that has an encoder.
pub(super) fn has_encoder(model_type: &str) -> BundleError {
    refusal(model_type, ENCODER_DECODER)
}

/// The error for a model that has eyes or ears.
pub(super) fn has_senses(model_type: &str) -> BundleError {
    refusal(model_type, SENSES)
}

/// The error for a model that cannot be run, and why.
pub(super) fn refusal(model_type: &str, reason: &'static str) -> BundleError {
    BundleError::UnknownArchitecture { model_type: model_type.into(), reason, known: KNOWN.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_type_the_reason_and_what_is_known() {
        struct Case(&'static str, &'static str);
        for Case(model_type, reason) in [
            Case("t5", ENCODER_DECODER),
            Case("bert", ENCODER),
            Case("whisper", SENSES),
            Case("mixtral", EXPERTS),
            Case("mamba", RECURRENT),
            Case("perceptron", UNKNOWN),
            Case("", UNKNOWN),
            Case("Llama", UNKNOWN),
        ] {
            let message = no_decoder(model_type).unwrap().to_string();
            assert!(message.contains(&format!("`{model_type}`")) && message.contains(reason), "{message}");
            assert!(message.contains("llama, ") && message.contains("qwen2, "), "{message}");
        }
    }

    #[test]
    fn nothing_is_in_the_way_of_known_types() {
        for known in KNOWN {
            assert!(no_decoder(known).is_none(), "{known}");
            assert!(HINDERED.iter().all(|(_, types)| !types.contains(&known)), "{known} is in both lists");
        }
    }
}
