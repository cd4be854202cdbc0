# List the recipes.
default:
    @just --list

# The demonstration: an organisation whose roles gain power, and what scopewarden says of it.
demo:
    cargo run --release -- demo

# Format.
fmt:
    cargo fmt

# Lints, as strict as CI.
lint:
    cargo clippy --all-targets --locked -- -D warnings

# Tests.
test *ARGS:
    cargo test --locked {{ARGS}}

# The tests against programs that we did not write. Needs Debian and root for the packages.
peers:
    tests/peers/run

# Everything that CI does; CI runs the same file.
ci:
    .ci/run

# One audit by the configuration ./scopewarden.toml.
audit *ARGS:
    cargo run --release -- audit {{ARGS}}
