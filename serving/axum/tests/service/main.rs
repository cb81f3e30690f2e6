//! Tests of the service from outside, in one program.

mod bundle;
mod common;
mod http;
mod startup;
mod tasks;
