//! Which requirements of a framework the checks answer, and what they answer.
pub mod framework;

pub use framework::Framework;
