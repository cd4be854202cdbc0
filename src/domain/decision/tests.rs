//! Decisions, case by case and as laws.
