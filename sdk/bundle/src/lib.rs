//! A model folder: its layout, its files, its mapped bytes and the facts of its architecture
