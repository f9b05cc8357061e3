//! Bodies that kombu compressed, and ours for those who read them with kombu.
//!
//! The header `compression` says how, by names that are kombu's own: what it calls gzip is a zlib stream without
//! gzip's framing. A small body may unfold to anything, so whoever expands one says where to stop.

use std::{
    fmt,
    io::{self, Cursor, Read, Write},
    num::NonZeroUsize,
};

use brotli_decompressor::Decompressor;
use bzip2::{read::BzDecoder, write::BzEncoder};
use flate2::{
    read::{GzDecoder, ZlibDecoder},
    write::ZlibEncoder,
};
use lapin::{BasicProperties, types::AMQPValue};
use ruzstd::decoding::StreamingDecoder;
use tokio::sync::Semaphore;
use xz4rust::{XzDecoder, XzReader};

use super::settings::Compression;

/// The header that says how a body is compressed.
pub(super) const HEADER: &str = "compression";
/// What a decoder may always keep of what it has written: twice what Python's presets take by default.
const LARGEST_WINDOW: usize = 16 << 20;
const READ_BUFFER: NonZeroUsize = NonZeroUsize::new(8192).expect("it is not zero");
/// How a brotli stream with a large window begins, in seven bits.
const BROTLI_LARGE_WINDOW: u8 = 0x11;
/// How gzip's framing begins; a zlib stream never does.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Why there is no body.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExpandError {
    /// Nobody here knows this way of compressing.
    #[error("compression {0:?} is not known")]
    Unknown(String),
    /// It would be larger than is read.
    #[error("it is larger than {limit} bytes when it is decompressed")]
    TooLarge {
        /// The most that is read.
        limit: usize,
    },
    /// The body is not what the header says, or is cut off.
    #[error("the body is not whole {format}: {source}")]
    Broken {
        /// What it should have been.
        format: Format,
        /// What the decoder says.
        source: io::Error,
    },
}

/// A way of compressing that kombu registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Zlib,
    Bzip2,
    Xz,
    Zstd,
    Brotli,
}

/// How many bodies are decompressed at once: each may need a window as large as the largest message.
static DECODERS: Semaphore = Semaphore::const_new(4);

impl Format {
    /// By kombu's content types and their aliases.
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "application/x-gzip" | "gzip" | "zlib" => Self::Zlib,
            "application/x-bz2" | "application/x-bzip2" | "bzip2" | "bzip" | "bz2" => Self::Bzip2,
            "application/x-lzma" | "lzma" | "xz" => Self::Xz,
            "application/zstd" | "zstd" | "zstandard" => Self::Zstd,
            "application/x-brotli" | "brotli" => Self::Brotli,
            _ => return None,
        })
    }

    fn reader(self, body: Vec<u8>, limit: usize) -> io::Result<Box<dyn Read>> {
        let gzip = body.starts_with(&GZIP_MAGIC);
        let large_window = body.first().is_some_and(|first| first & 0x7f == BROTLI_LARGE_WINDOW);
        // Who may send so much may have a window for all of it.
        let window = LARGEST_WINDOW.max(limit);
        let body = Cursor::new(body);
        Ok(match self {
            // Who has read the content type and not kombu sends gzip.
            Self::Zlib if gzip => Box::new(GzDecoder::new(body)),
            Self::Zlib => Box::new(ZlibDecoder::new(body)),
            // One stream only: another, of fourteen bytes, would cost megabytes before anything comes of it.
            Self::Bzip2 => Box::new(BzDecoder::new(body)),
            Self::Xz => {
                let decoder = XzDecoder::in_heap_with_alloc_dict_size(0, window);
                Box::new(XzReader::new_with_buffer_size_and_decoder(body, READ_BUFFER, decoder))
            }
            Self::Zstd => Box::new(
                StreamingDecoder::new_with_max_window_size(body, window as u64).map_err(io::Error::other)?,
            ),
            // An extension of the format, up to 1 GiB; kombu never asks for it.
            Self::Brotli if large_window => return Err(io::Error::other("its window is too large")),
            Self::Brotli => Box::new(Decompressor::new(body, READ_BUFFER.get())),
        })
    }

    fn expand(self, body: Vec<u8>, limit: usize) -> Result<Vec<u8>, ExpandError> {
        let broken = |source| ExpandError::Broken { format: self, source };
        let mut expanded = Vec::new();
        // One byte more than may be tells what is too large from what just fits.
        let mut reader = self.reader(body, limit).map_err(broken)?.take(limit as u64 + 1);
        reader.read_to_end(&mut expanded).map_err(broken)?;
        if expanded.len() > limit { Err(ExpandError::TooLarge { limit }) } else { Ok(expanded) }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Zlib => "zlib",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::Brotli => "brotli",
        })
    }
}

/// The body as it was before its sender compressed it, as long as that is no more than `limit` bytes.
pub(crate) async fn expand(
    body: Vec<u8>,
    compression: Option<&str>,
    limit: usize,
) -> Result<Vec<u8>, ExpandError> {
    let Some(name) = compression else { return Ok(body) };
    let format = Format::named(name).ok_or_else(|| ExpandError::Unknown(name.chars().take(64).collect()))?;
    let _turn = DECODERS.acquire().await.expect("it is never closed");
    // Not on the threads that serve everybody: a small body may be a second's work. A decoder that panics fails its
    // own message.
    let expanded = tokio::task::spawn_blocking(move || format.expand(body, limit)).await;
    expanded.unwrap_or_else(|error| Err(ExpandError::Broken { format, source: io::Error::other(error) }))
}

/// How a message says that its body is compressed.
pub(crate) fn of(properties: &BasicProperties) -> Option<String> {
    let value = properties.headers().as_ref()?.inner().get(HEADER)?;
    if let AMQPValue::LongString(text) = value { Some(text.to_string()) } else { None }
}

impl Compression {
    /// The value of the header.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "application/x-gzip",
            Self::Bzip2 => "application/x-bz2",
        }
    }

    pub(super) fn compress(self, body: &[u8]) -> Vec<u8> {
        let compressed = match self {
            Self::Gzip => {
                let mut encoder = ZlibEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(body).and_then(|()| encoder.finish())
            }
            Self::Bzip2 => {
                let mut encoder = BzEncoder::new(Vec::new(), bzip2::Compression::default());
                encoder.write_all(body).and_then(|()| encoder.finish())
            }
        };
        compressed.expect("writing to memory does not fail")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1 << 20;

    /// Made by Python's own modules from `{"method": "ping"}`.
    const KOMBU: &[(&str, &str)] = &[
        ("application/x-gzip", ZLIB),
        ("zlib", ZLIB),
        ("application/x-bz2", BZ2),
        ("application/x-bzip2", BZ2),
        ("application/x-lzma", XZ),
        ("application/zstd", ZSTD),
        ("application/x-brotli", BROTLI),
    ];
    const ZLIB: &str = "789cab56ca4d2dc9c84f51b252502ac8cc4b57aa05003a7c060a";
    const BZ2: &str = "425a6839314159265359b456eff500000819805000001006e3c40a2000228f49a3269faa0a6000130da7ae503823cbe2ee48a70a12168addfea0";
    const XZ: &str = "fd377a585a000004e6d6b4460200210116000000742fe5a30100117b226d6574686f64223a202270696e67227d00000056228677\
        ff476fff00012a124b0854bc1fb6f37d010000000004595a";
    const ZSTD: &str = "28b52ffd20129100007b226d6574686f64223a202270696e67227d";
    const BROTLI: &str = "8b08807b226d6574686f64223a202270696e67227d03";
    /// What `gzip` makes of it.
    const GZIP: &str = "1f8b0800000000000203ab56ca4d2dc9c84f51b252502ac8cc4b57aa0500c540f52412000000";

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<char> = hex.chars().collect();
        let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap();
        digits.chunks(2).map(byte).collect()
    }

    async fn expanded(name: &str, body: Vec<u8>) -> Result<Vec<u8>, ExpandError> {
        expand(body, Some(name), LIMIT).await
    }

    #[tokio::test]
    async fn what_kombu_compressed_is_read() {
        for (name, hex) in KOMBU {
            assert_eq!(expanded(name, bytes(hex)).await.expect(name), br#"{"method": "ping"}"#, "{name}");
        }
        assert_eq!(expanded("application/x-gzip", bytes(GZIP)).await.unwrap(), br#"{"method": "ping"}"#);
        assert_eq!(expand(b"as it is".to_vec(), None, LIMIT).await.unwrap(), b"as it is");
    }

    #[tokio::test]
    async fn one_stream_is_read_however_many_there_are() {
        let body = bytes(BZ2).repeat(10_000);
        assert_eq!(expanded("application/x-bz2", body).await.unwrap(), br#"{"method": "ping"}"#);
        let body = bytes(GZIP).repeat(10_000);
        assert_eq!(expanded("application/x-gzip", body).await.unwrap(), br#"{"method": "ping"}"#);
    }

    #[tokio::test]
    async fn a_body_that_is_cut_off_or_of_another_kind_is_refused() {
        for (name, hex) in KOMBU {
            let whole = bytes(hex);
            for length in [0, 1, whole.len() / 2, whole.len() - 1] {
                let cut = whole.get(..length).unwrap().to_vec();
                let error = expanded(name, cut).await.expect_err(name);
                assert!(matches!(error, ExpandError::Broken { .. }), "{name} {length}: {error}");
            }
            let error = expanded(name, br#"{"method": "ping"}"#.to_vec()).await.expect_err(name);
            assert!(matches!(error, ExpandError::Broken { .. }), "{name}: {error}");
        }
        // A window of 1 GiB, in two bytes.
        let error = expanded("brotli", vec![0x11, 30, 0, 0]).await.unwrap_err();
        assert!(error.to_string().contains("window is too large"), "{error}");
        let error = expanded("application/x-compress", Vec::new()).await.unwrap_err();
        assert!(matches!(error, ExpandError::Unknown(_)), "{error}");
    }

    #[tokio::test]
    async fn a_bomb_is_given_up_at_the_limit() {
        for compression in [Compression::Gzip, Compression::Bzip2] {
            let just = compression.compress(&vec![0; LIMIT]);
            assert_eq!(expanded(compression.name(), just).await.unwrap().len(), LIMIT);
            let over = compression.compress(&vec![0; LIMIT + 1]);
            let error = expanded(compression.name(), over).await.unwrap_err();
            assert!(matches!(error, ExpandError::TooLarge { limit: LIMIT }), "{error}");
        }
    }
}
