//! Paths in JSON: every byte survives, whatever it is.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// A path by itself: a string, or for one that is not UTF-8 an object with `b64`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PathJson {
    /// UTF-8.
    Text(String),
    /// Any bytes.
    Bytes(Base64Path),
}

/// The exact bytes of a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base64Path {
    /// In base64 with padding.
    pub b64: String,
}

impl PathJson {
    /// Keeps every byte.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        path.to_str().map_or_else(
            || Self::Bytes(Base64Path { b64: STANDARD.encode(path.as_os_str().as_bytes()) }),
            |text| Self::Text(text.to_owned()),
        )
    }

    /// The path again; `None` if it is not base64.
    #[must_use]
    pub fn to_path(&self) -> Option<PathBuf> {
        match self {
            Self::Text(text) => Some(PathBuf::from(text)),
            Self::Bytes(bytes) => {
                STANDARD.decode(&bytes.b64).ok().map(|b| OsString::from_vec(b).into())
            }
        }
    }
}

/// A path for JSON: readable, and exact if that is not the same.
#[must_use]
pub fn both(path: &Path) -> (String, Option<String>) {
    match path.to_str() {
        Some(text) => (text.to_owned(), None),
        None => (
            path.to_string_lossy().into_owned(),
            Some(STANDARD.encode(path.as_os_str().as_bytes())),
        ),
    }
}
