//! Archives that are half compressed in place: the beginning in whole gzip frames, and what is left
//! of the source.

use std::io::Read as _;

use logquota::fs::sim::{SimFs, SimOp};

/// What the whole frames have; one that is torn ends it.
#[must_use]
pub fn unpacked(packed: &[u8]) -> Vec<u8> {
    let (mut rest, mut found) = (packed, Vec::new());
    while !rest.is_empty() {
        let mut one = Vec::new();
        let mut frame = flate2::bufread::GzDecoder::new(rest);
        if frame.read_to_end(&mut one).is_err() {
            break;
        }
        rest = frame.into_inner();
        found.extend(one);
    }
    found
}

/// The archive, from what its packed beginning has and what is left of its source: zeros where
/// that was given back already.
///
/// # Errors
///
/// Where both have something, and not the same.
pub fn joined(head: &[u8], rest: Vec<u8>) -> Result<Vec<u8>, String> {
    let mut all = rest;
    if head.len() > all.len() {
        return Err("the head is longer".to_owned());
    }
    for (at, (byte, head)) in all.iter_mut().zip(head).enumerate() {
        if *byte != *head && *byte != 0 {
            return Err(format!("both have something else at {at}"));
        }
        *byte = *head;
    }
    Ok(all)
}

/// Somebody takes all the room of the disk, as `film`, before the piece behind this many is begun
/// on: a compression in place stops there.
pub fn fill_after(fs: &SimFs, pieces: usize, film: &'static str) {
    let mut punched = 0;
    fs.interrupt(
        move |call| {
            punched += usize::from(call.op == SimOp::Punch);
            punched == pieces && call.op == SimOp::Space
        },
        move |fs| fs.fill_disk(film).expect("it is full now"),
    );
}
