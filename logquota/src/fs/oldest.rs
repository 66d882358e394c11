//! Looks at the oldest content of a log.

use std::io::{self, Read as _};

use sha2::{Digest as _, Sha256};

use super::ReadFile;
use crate::stamp::Oldest;

/// One small read at the start of what the file has. None if it has less than that.
///
/// # Errors
///
/// Whatever the system says.
pub(crate) fn oldest(file: &mut dyn ReadFile) -> io::Result<Option<Oldest>> {
    let Some(data) = file.next_data(0)? else { return Ok(None) };
    let mut content = Vec::new();
    let count = file.take(Oldest::LEN).read_to_end(&mut content)?;
    if u64::try_from(count).is_ok_and(|count| count < Oldest::LEN) {
        return Ok(None);
    }
    let mut digest = [0; 16];
    for (to, from) in digest.iter_mut().zip(Sha256::digest(&content)) {
        *to = from;
    }
    Ok(Some(Oldest { start: data.start, digest }))
}
