//! The appender on the simulated disk, by a clock that is moved by hand, without threads.

mod ballast;
mod counts;
mod halves;
mod hands;
mod kit;
mod look;
mod model;
mod op;
mod setup;
mod space;
mod step;
mod times;
mod world;
mod writer;
