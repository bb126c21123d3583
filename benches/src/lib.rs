//! Benchmarks of the storage backends
