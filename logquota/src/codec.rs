//! Streaming gzip and Zstandard. Content in, content out; no files here.

use std::io::{self, Read, Write};

use crate::error::{Error, Result};
use crate::policy::Codec;
use crate::units::Bytes;

mod frames;

pub use self::frames::{Frames, frame};

/// The most that `len` bytes can become: data that cannot be packed is stored in blocks with
/// a few bytes of header each (RFC 1951: 5 bytes per 65,535, as implemented per 16 KiB;
/// RFC 8878: 3 bytes per 128 KiB), plus header and checksum.
#[must_use]
pub const fn bound(len: Bytes) -> Bytes {
    len.plus(Bytes::new(len.get() / 256)).plus(Bytes::kib(1))
}

/// zlib-rs packs as small with this as `gzip` does without options, with 6: four logs of 0.2 to
/// 1 MiB became 0.9 % larger to 0.7 % smaller, at 1.1 to 2.2 times the speed of zlib-rs's 6.
#[cfg(feature = "gzip")]
const GZIP_LEVEL: i32 = 5;

/// Something to write plain content into. [`Encoder::finish`] must be called: what is only
/// dropped is incomplete.
#[non_exhaustive]
pub enum Encoder<W: Write> {
    /// gzip
    #[cfg(feature = "gzip")]
    Gzip(Box<flate2::write::GzEncoder<W>>),
    /// Zstandard
    #[cfg(feature = "zstd")]
    Zstd(Box<zstd::stream::write::Encoder<'static, W>>),
    /// No codec is built in.
    #[doc(hidden)]
    #[cfg(not(any(feature = "gzip", feature = "zstd")))]
    None(std::convert::Infallible, std::marker::PhantomData<W>),
}

impl<W: Write> Encoder<W> {
    /// An encoder that writes to `out`. Without a `level`, gzip's is the one that packs about as
    /// small as the program `gzip` does by itself, and Zstandard's is 3. `len` is what will come, exactly, if that is known:
    /// Zstandard then takes no more memory than so much content needs, and says the length in
    /// the header; other content is an error of [`Encoder::finish`].
    ///
    /// # Errors
    ///
    /// [`Error::CodecMissing`] if the feature is off.
    pub fn new(codec: Codec, level: Option<i32>, len: Option<u64>, out: W) -> Result<Self> {
        let _ = len;
        match codec {
            #[cfg(feature = "gzip")]
            Codec::Gzip => {
                let level = u32::try_from(level.unwrap_or(GZIP_LEVEL).clamp(0, 9)).unwrap_or(6);
                let encoder = flate2::GzBuilder::new().write(out, flate2::Compression::new(level));
                Ok(Self::Gzip(Box::new(encoder)))
            }
            #[cfg(not(feature = "gzip"))]
            Codec::Gzip => {
                drop((level, out));
                Err(Error::CodecMissing("gzip"))
            }
            #[cfg(feature = "zstd")]
            Codec::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(out, level.unwrap_or(3))
                    .map_err(Error::io(crate::error::Op::Compress, "zstd"))?;
                encoder
                    .set_pledged_src_size(len)
                    .map_err(Error::io(crate::error::Op::Compress, "zstd"))?;
                if level.is_none() {
                    // A mebibyte to look back in: logs repeat themselves sooner, and an appender
                    // compresses within little memory.
                    encoder
                        .window_log(20)
                        .map_err(Error::io(crate::error::Op::Compress, "zstd"))?;
                }
                // A damaged archive must not unpack to something else.
                encoder
                    .include_checksum(true)
                    .map_err(Error::io(crate::error::Op::Compress, "zstd"))?;
                Ok(Self::Zstd(Box::new(encoder)))
            }
            #[cfg(not(feature = "zstd"))]
            Codec::Zstd => {
                drop((level, out));
                Err(Error::CodecMissing("zstd"))
            }
        }
    }

    /// Writes what is left, and gives the output back.
    ///
    /// # Errors
    ///
    /// Of the output.
    pub fn finish(self) -> io::Result<W> {
        match self {
            #[cfg(feature = "gzip")]
            Self::Gzip(encoder) => encoder.finish(),
            #[cfg(feature = "zstd")]
            Self::Zstd(encoder) => encoder.finish(),
            #[cfg(not(any(feature = "gzip", feature = "zstd")))]
            Self::None(never, _) => match never {},
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            #[cfg(feature = "gzip")]
            Self::Gzip(encoder) => encoder.write(buf),
            #[cfg(feature = "zstd")]
            Self::Zstd(encoder) => encoder.write(buf),
            #[cfg(not(any(feature = "gzip", feature = "zstd")))]
            Self::None(never, _) => {
                let _ = buf;
                match *never {}
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            #[cfg(feature = "gzip")]
            Self::Gzip(encoder) => encoder.flush(),
            #[cfg(feature = "zstd")]
            Self::Zstd(encoder) => encoder.flush(),
            #[cfg(not(any(feature = "gzip", feature = "zstd")))]
            Self::None(never, _) => match *never {},
        }
    }
}

/// The codec that a file begins like, by its magic number.
#[must_use]
pub fn detect(head: &[u8]) -> Option<Codec> {
    match head {
        [0x1f, 0x8b, ..] => Some(Codec::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Codec::Zstd),
        _ => None,
    }
}

/// Unpacks `input` as it is read. Concatenated members and frames are one stream.
///
/// The reader is not bounded: stop when you have what you wanted (a few KiB can unpack to
/// gigabytes).
///
/// # Errors
///
/// [`Error::CodecMissing`] if the feature is off.
pub fn decoder<'a>(codec: Codec, input: impl Read + 'a) -> Result<Box<dyn Read + 'a>> {
    match codec {
        #[cfg(feature = "gzip")]
        Codec::Gzip => {
            let input = io::BufReader::with_capacity(64 << 10, input);
            Ok(Box::new(flate2::bufread::MultiGzDecoder::new(input)))
        }
        #[cfg(not(feature = "gzip"))]
        Codec::Gzip => {
            drop(input);
            Err(Error::CodecMissing("gzip"))
        }
        #[cfg(feature = "zstd")]
        Codec::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::new(input)
                .map_err(Error::io(crate::error::Op::Read, "zstd"))?;
            // 128 MiB: what level 3 and all our own files need is 8 MiB at most.
            decoder.window_log_max(27).map_err(Error::io(crate::error::Op::Read, "zstd"))?;
            Ok(Box::new(decoder))
        }
        #[cfg(not(feature = "zstd"))]
        Codec::Zstd => {
            drop(input);
            Err(Error::CodecMissing("zstd"))
        }
    }
}

#[cfg(all(test, feature = "gzip", feature = "zstd"))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packed(codec: Codec, content: &[u8]) -> Vec<u8> {
        let mut encoder =
            Encoder::new(codec, None, Some(content.len() as u64), Vec::new()).expect("a codec");
        for chunk in content.chunks(777) {
            encoder.write_all(chunk).expect("memory");
        }
        encoder.finish().expect("memory")
    }

    #[test]
    fn h42_noise_stays_within_the_room_that_is_reserved() {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .take(3 << 20)
        .collect();
        for len in [0, 1, 100, 4_096, 65_536, 1 << 20, noise.len()] {
            for codec in [Codec::Gzip, Codec::Zstd] {
                let room = bound(Bytes::new(len as u64)).get();
                let took = packed(codec, &noise[..len]).len() as u64;
                assert!(took <= room, "{codec:?} {len}: {took} > {room}");
            }
        }
    }

    #[test]
    fn h18_concatenated_members_are_one_stream_and_torn_ones_an_error() {
        for codec in [Codec::Gzip, Codec::Zstd] {
            let mut two = packed(codec, b"one");
            two.extend(packed(codec, b"two"));
            assert_eq!(detect(&two), Some(codec));
            let mut out = String::new();
            decoder(codec, &two[..]).expect("a codec").read_to_string(&mut out).expect("whole");
            assert_eq!(out, "onetwo");
            let torn = &two[..two.len() - 3];
            let mut out = Vec::new();
            assert!(decoder(codec, torn).expect("a codec").read_to_end(&mut out).is_err());
        }
    }

    proptest! {
        #[test]
        fn what_is_packed_unpacks_to_the_same(content in prop::collection::vec(any::<u8>(), 0..5_000)) {
            for codec in [Codec::Gzip, Codec::Zstd] {
                let mut out = Vec::new();
                decoder(codec, &packed(codec, &content)[..]).expect("a codec").read_to_end(&mut out).expect("whole");
                prop_assert_eq!(&out, &content);
            }
        }
    }
}
