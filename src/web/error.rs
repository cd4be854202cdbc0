//! What a visitor is told when a request cannot be answered.
//!
//! Enters: a bad parameter, or a fault of the store. Leaves: 400 or 503, as JSON for programs or as text for people.
//! Must never: show a visitor the cause of a fault. It goes to the log.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::store;

/// Why a request was not answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The visitor's mistake.
    #[error("The parameter {parameter} {reason}.")]
    Parameter {
        /// Its name.
        parameter: String,
        /// What is wrong with it, and what it may be.
        reason: String,
    },
    /// The record cannot be read.
    #[error("The record cannot be read at the moment. The cause is in the log.")]
    Store(#[from] store::Error),
    /// An answer could not be written down; a bug of ours.
    #[error("The answer could not be written. The cause is in the log.")]
    Unwritable(String),
}

impl Error {
    pub(super) fn parameter(parameter: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Parameter { parameter: parameter.into(), reason: reason.into() }
    }

    /// A bounded word for the log.
    fn reason(&self) -> &'static str {
        match self {
            Self::Parameter { .. } => "parameter",
            Self::Store(error) => error.reason(),
            Self::Unwritable(_) => "internal",
        }
    }

    /// The answer of the API.
    pub(super) fn in_json(self) -> Response {
        let error = match &self {
            Self::Parameter { parameter, reason } => json!({ "parameter": parameter, "reason": reason }),
            Self::Store(_) | Self::Unwritable(_) => json!({ "reason": self.to_string() }),
        };
        (self.report(), Json::<Value>(json!({ "error": error }))).into_response()
    }

    /// The answer of the page.
    pub(super) fn in_words(self) -> Response {
        (self.report(), format!("{self}\n")).into_response()
    }

    /// Logs a fault of ours; the status that it stands for.
    fn report(&self) -> StatusCode {
        let cause = match self {
            Self::Parameter { .. } => return StatusCode::BAD_REQUEST,
            Self::Store(error) => error.to_string(),
            Self::Unwritable(cause) => cause.clone(),
        };
        tracing::error!(reason = self.reason(), cause, "a request could not be answered");
        StatusCode::SERVICE_UNAVAILABLE
    }
}
