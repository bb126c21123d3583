//! Both suites are tested themselves: every saboteur is caught, every scenario catches one or has a
//! reason why none can be caught by it, and nothing of them goes without a word.

mod clauses;
mod contract;
mod inventory;
mod matrix;
mod projections;
