//! Neural networks differentiated twice on the CPU.
