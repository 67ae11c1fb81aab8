//! Small language models on the device: open a model folder, get a session, stream or score text
