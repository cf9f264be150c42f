//! The exact effects, durability and history events of every step.

mod checked;
mod deadlines;
mod driven;
mod heuristics;
mod joining;
mod loading;
mod names;
mod one_phase;
mod random;
mod resolving;
mod retries;
mod stuck;
mod two_phase;
