//! The program as its users see it: arguments, output, exit codes, files.

mod apply;
mod ballast;
mod config;
mod free;
mod kit;
mod lint;
mod locks;
mod logrotate;
mod output;
mod pipe;
mod plan;
mod programs;
mod root;
mod run;
mod state;
mod time;
mod trim_active;
mod usage;
