//! Why a reading failed, in words that a person can act on and one bounded word for metrics.
//!
//! Enters: what the transport, the decoders and the page reader found. Leaves: an [`Error`] for the audit.
//! Must never: carry a token, a secret, a URL's query or any text of an answer's body.

use super::Endpoint;

/// A call that did not give what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The platform does not accept the auditor's credentials or token.
    #[error("{endpoint}: {detail}")]
    Auth {
        /// The call.
        endpoint: Endpoint,
        /// What was refused and what to do.
        detail: String,
    },
    /// The auditor may not make this call.
    #[error("{endpoint}: {detail}")]
    Forbidden {
        /// The call.
        endpoint: Endpoint,
        /// What is missing and where to add it.
        detail: String,
    },
    /// The platform's rate limit holds longer than an audit waits.
    #[error("{endpoint}: {detail}")]
    RateLimited {
        /// The call.
        endpoint: Endpoint,
        /// How long the platform asked to wait.
        detail: String,
    },
    /// The platform failed, on every attempt that its status allows.
    #[error("{endpoint}: the platform failed with status {status}; the next audit asks again")]
    Server {
        /// The call.
        endpoint: Endpoint,
        /// The HTTP status of the last attempt.
        status: u16,
    },
    /// No complete answer arrived.
    #[error("{endpoint}: {detail}")]
    Network {
        /// The call.
        endpoint: Endpoint,
        /// What happened to the connection.
        detail: String,
    },
    /// An answer arrived that is not what the platform documents.
    #[error("{endpoint}: {detail}")]
    InvalidResponse {
        /// The call.
        endpoint: Endpoint,
        /// Which field, and the JSON type found. Never the value.
        detail: String,
    },
    /// An answer that does not fit into memory could not be kept on the disk.
    #[error("{endpoint}: {detail}")]
    Storage {
        /// The call.
        endpoint: Endpoint,
        /// Which folder, and what to do.
        detail: String,
    },
    /// The platform does not know what was asked for.
    #[error("{endpoint}: {detail}")]
    NotFound {
        /// The call.
        endpoint: Endpoint,
        /// What is not known.
        detail: String,
    },
    /// A listing kept moving while it was read.
    #[error("{endpoint}: {detail}")]
    Inconsistent {
        /// The call.
        endpoint: Endpoint,
        /// What moved.
        detail: String,
    },
}

impl Error {
    /// The `reason` label: one of eight words.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Auth { .. } => "auth",
            Self::Forbidden { .. } => "forbidden",
            Self::RateLimited { .. } => "rate_limited",
            Self::Server { .. } => "server",
            Self::Network { .. } => "network",
            Self::InvalidResponse { .. } | Self::NotFound { .. } => "invalid_response",
            Self::Storage { .. } => "storage",
            Self::Inconsistent { .. } => "inconsistent",
        }
    }

    /// Whether the same call may succeed a moment later without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::RateLimited { .. } | Self::Network { .. } => true,
            Self::Server { status, .. } => matches!(status, 408 | 500 | 502 | 503 | 504),
            Self::Auth { .. }
            | Self::Forbidden { .. }
            | Self::InvalidResponse { .. }
            | Self::Storage { .. }
            | Self::NotFound { .. }
            | Self::Inconsistent { .. } => false,
        }
    }
}
