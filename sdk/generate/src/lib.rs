//! Sampling, sessions, candidates and scoring over any engine
