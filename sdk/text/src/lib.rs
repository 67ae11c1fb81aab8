//! Tokenizer, streaming detokenizer, chat templates and stop strings
