//! Errors of ONNX Runtime, as those of the engine contract.

use kinglet_engine::EngineError;
use std::error::Error;

/// The engine's name in `--engine` and in errors.
pub(crate) const NAME: &str = "ort";

/// The error for what the library or the system refused.
pub(crate) fn backend_error(source: impl Into<Box<dyn Error + Send + Sync>>) -> EngineError {
    let source = source.into();
    let node = failed_node(&source.to_string());
    EngineError::Backend { engine: NAME, node, source }
}

/// The error for a session that could not be made of a graph.
pub(crate) fn open_error(error: &ort::Error) -> EngineError {
    use ort::ErrorCode as Code;
    let message = error.message();
    match error.code() {
        Code::NotImplemented => match unsupported_node(message) {
            Some((op_type, node)) => EngineError::UnsupportedNode { node, op_type, reason: message.to_owned() },
            None => EngineError::UnsupportedGraph(format!("ONNX Runtime says: {message}")),
        },
        Code::InvalidProtobuf => EngineError::BadModel(format!("ONNX Runtime says: {message}")),
        Code::InvalidGraph | Code::InvalidArgument | Code::GenericFailure | Code::NotFound => {
            EngineError::UnsupportedGraph(format!("ONNX Runtime says: {message}"))
        }
        _ => backend_error(message.to_owned()),
    }
}

/// The node of `.. while running MatMul node. Name:'/model/layers.0/..' Status Message: ..`.
fn failed_node(message: &str) -> Option<String> {
    let (name, _) = message.split_once("Name:'")?.1.split_once('\'')?;
    (!name.is_empty()).then(|| name.to_owned())
}

/// Operator and node of `.. Could not find an implementation for Loop(11) node with name 'n'`.
fn unsupported_node(message: &str) -> Option<(String, String)> {
    let (op_type, rest) = message.split_once("implementation for ")?.1.split_once('(')?;
    let node = rest.split_once("with name '").and_then(|(_, rest)| rest.split_once('\'')).map_or("", |(node, _)| node);
    Some((op_type.to_owned(), node.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_librarys_messages_name_the_node() {
        let message = "Non-zero status code returned while running MatMul node. Name:'/head/MatMul' Status Message: odd";
        assert_eq!(failed_node(message).as_deref(), Some("/head/MatMul"));
        assert_eq!(failed_node("odd"), None);
        let message = "Could not find an implementation for Wren(7) node with name '/w'";
        assert_eq!(unsupported_node(message), Some(("Wren".to_owned(), "/w".to_owned())));
    }
}
