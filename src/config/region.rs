//! The regions of Genesys Cloud: the platform's domains, each with the AWS region it runs in.
//!
//! Source: the host list of the platform's official Python SDK (269.0.0). A newer region, or a gateway in front,
//! is reached with `login_url` and `api_url` instead.

use super::problem::{Refusal, did_you_mean};

/// AWS region and domain.
const REGIONS: [(&str, &str); 18] = [
    ("us-east-1", "mypurecloud.com"),
    ("us-east-2", "use2.us-gov-pure.cloud"),
    ("us-west-2", "usw2.pure.cloud"),
    ("ca-central-1", "cac1.pure.cloud"),
    ("mx-central-1", "mxc1.pure.cloud"),
    ("sa-east-1", "sae1.pure.cloud"),
    ("eu-west-1", "mypurecloud.ie"),
    ("eu-west-2", "euw2.pure.cloud"),
    ("eu-central-1", "mypurecloud.de"),
    ("eu-central-2", "euc2.pure.cloud"),
    ("eusc-de-east-1", "edee1.eusc-pure.cloud"),
    ("me-central-1", "mec1.pure.cloud"),
    ("ap-south-1", "aps1.pure.cloud"),
    ("ap-northeast-1", "mypurecloud.jp"),
    ("ap-northeast-2", "apne2.pure.cloud"),
    ("ap-northeast-3", "apne3.pure.cloud"),
    ("ap-southeast-1", "apse1.pure.cloud"),
    ("ap-southeast-2", "mypurecloud.com.au"),
];

/// The domain of the region called `text`, by its domain or by its AWS name.
pub(super) fn domain(text: &str) -> Result<&'static str, Refusal> {
    if let Some((_, domain)) = REGIONS.iter().find(|(aws, domain)| text == *aws || text == *domain) {
        return Ok(domain);
    }
    // People paste the address of the API or of the login page.
    let host = text.trim_start_matches("https://").trim_end_matches('/');
    let host =
        ["api.", "login.", "apps."].iter().find_map(|prefix| host.strip_prefix(prefix)).unwrap_or(host);
    let names = REGIONS.iter().flat_map(|(aws, domain)| [*domain, *aws]);
    let hint = did_you_mean(host, names);
    let reason = format!("is not a Genesys Cloud region{hint} (or set login_url and api_url)");
    Err(Refusal::of(text, reason))
}
