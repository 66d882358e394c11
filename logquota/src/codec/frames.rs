//! Members of gzip and frames of Zstandard one by one: each unpacks without the others.

use std::io::{self, BufRead, Read, Write as _};

use super::Encoder;
use crate::error::{Error, Op, Result};
use crate::policy::Codec;

/// Packs `content` as one frame.
///
/// # Errors
///
/// [`Error::CodecMissing`] if the feature is off.
pub fn frame(codec: Codec, level: Option<i32>, content: &[u8]) -> Result<Vec<u8>> {
    let len = u64::try_from(content.len()).ok();
    let mut encoder = Encoder::new(codec, level, len, Vec::new())?;
    let packed = encoder.write_all(content).and_then(|()| encoder.finish());
    packed.map_err(Error::io(Op::Compress, "memory"))
}

/// Takes concatenated frames apart.
#[derive(Debug)]
pub struct Frames<R> {
    codec: Codec,
    input: Counted<R>,
}

impl<R: BufRead> Frames<R> {
    /// Reads frames from `input`.
    pub const fn new(codec: Codec, input: R) -> Self {
        Self { codec, input: Counted { input, taken: 0, error: None } }
    }

    /// Unpacks the next frame into `content` and says where it ends in the input. `None` behind
    /// the last whole one: at the end, or where it is torn, damaged, or longer than `most`
    /// bytes. Then this is not to be called again.
    ///
    /// # Errors
    ///
    /// Of the input, and `Unsupported` if the feature of the codec is off.
    pub fn next(&mut self, content: &mut Vec<u8>, most: u64) -> io::Result<Option<u64>> {
        content.clear();
        loop {
            match self.input.fill_buf() {
                Ok([]) => return Ok(None),
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let most = most.saturating_add(1);
        let read: io::Result<usize> = match self.codec {
            #[cfg(feature = "gzip")]
            Codec::Gzip => {
                let frame = flate2::bufread::GzDecoder::new(&mut self.input);
                frame.take(most).read_to_end(content)
            }
            #[cfg(feature = "zstd")]
            Codec::Zstd => zstd::stream::read::Decoder::with_buffer(&mut self.input)
                .and_then(|frame| frame.single_frame().take(most).read_to_end(content)),
            #[cfg(not(all(feature = "gzip", feature = "zstd")))]
            _ => {
                let _ = (content, most);
                return Err(io::ErrorKind::Unsupported.into());
            }
        };
        if let Some(error) = self.input.error.take() {
            return Err(error);
        }
        let is_whole = read.is_ok_and(|len| u64::try_from(len).is_ok_and(|len| len < most));
        Ok(is_whole.then_some(self.input.taken))
    }
}

/// Counts what is taken of the input, and remembers that reading it failed: decoders tell that
/// and damage alike.
#[derive(Debug)]
struct Counted<R> {
    input: R,
    taken: u64,
    error: Option<io::Error>,
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self.input.fill_buf() {
            Ok(bytes) => Ok(bytes),
            Err(error) => {
                if error.kind() != io::ErrorKind::Interrupted {
                    self.error = Some(error.kind().into());
                }
                Err(error)
            }
        }
    }

    fn consume(&mut self, count: usize) {
        self.taken = self.taken.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        self.input.consume(count);
    }
}

#[cfg(all(test, feature = "gzip", feature = "zstd"))]
mod tests {
    use super::*;

    fn parts(codec: Codec, packed: &[u8], most: u64) -> Vec<(Vec<u8>, u64)> {
        let mut frames = Frames::new(codec, io::BufReader::with_capacity(7, packed));
        let (mut content, mut found) = (Vec::new(), Vec::new());
        while let Some(end) = frames.next(&mut content, most).expect("memory") {
            found.push((content.clone(), end));
        }
        found
    }

    #[test]
    fn frames_are_taken_apart_where_they_were_put_together() {
        for codec in [Codec::Gzip, Codec::Zstd] {
            let contents: [&[u8]; 4] = [b"one", b"", &[7; 5_000], b"last"];
            let (mut packed, mut expected) = (Vec::new(), Vec::new());
            for content in contents {
                packed.extend(frame(codec, None, content).expect("a codec"));
                expected.push((content.to_vec(), packed.len() as u64));
            }
            assert_eq!(parts(codec, &packed, 5_000), expected);
            assert_eq!(parts(codec, &packed, 4_999).len(), 2);
            let two = expected[1].1;
            for len in 0..packed.len() {
                let torn = parts(codec, &packed[..len], 5_000);
                assert_eq!(torn, expected[..torn.len()]);
                assert!(expected.get(torn.len()).is_some_and(|next| next.1 > len as u64));
            }
            // What is damaged ends it.
            let mut damaged = packed.clone();
            damaged[two as usize + 12] ^= 0x40;
            assert_eq!(parts(codec, &damaged, 5_000).len(), 2);
        }
    }

    #[test]
    fn h55_that_the_input_cannot_be_read_is_no_damage() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::Other.into())
            }
        }
        for codec in [Codec::Gzip, Codec::Zstd] {
            let packed = frame(codec, None, &[7; 5_000]).expect("a codec");
            let input = io::BufReader::new(packed[..packed.len() - 3].chain(Broken));
            let mut frames = Frames::new(codec, input);
            assert!(frames.next(&mut Vec::new(), 5_000).is_err());
        }
    }
}
