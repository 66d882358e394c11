//! Log rotation and hard disk quotas, with deletion plans that are shown first and then
//! done exactly as shown.
//!
//! For a program's own log: an [`Appender`], which never lets it grow past its quota; with the
//! feature `tracing` it is a writer for tracing-subscriber, with the feature `log` there is a
//! logger for the macros of `log`.
//!
//! For the logs of others: [`scan`](scan::scan) a folder, [`plan`](plan::plan) what has to go,
//! look at the plan, and [`apply`](apply::apply) it.
#![cfg_attr(docsrs, feature(doc_cfg))]
// What comes from a disk may be anything, and only the program prints. Tests may say what
// they expect.
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::print_stdout,
        clippy::print_stderr
    )
)]

pub mod appender;
pub mod apply;
pub mod ballast;
pub mod clock;
pub mod codec;
pub mod error;
pub mod fs;
pub mod inventory;
#[cfg(feature = "logrotate")]
pub mod lint;
#[cfg(feature = "logrotate")]
pub mod logrotate;
pub mod naming;
pub mod plan;
pub mod policy;
#[cfg(feature = "serde")]
pub mod report;
pub mod scan;
pub mod stamp;
pub mod units;

pub use crate::appender::{Appender, Delivery, Interval, OnFull, WhenFull};
pub use crate::error::{Error, Op, Result};
pub use crate::naming::Naming;
pub use crate::policy::{Codec, Config, Policy, Selector, SetSpec};
pub use crate::units::{Age, Bytes, Generation};

/// The example of the README is compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../../docs/appender.md")]
struct AppenderChapter;
