//! A gate before the platform: passes every call on, and holds one wherever a test wants it.

use std::time::Duration;

use reqwest::Method;

use super::wire::{self, Answer, Request, Traps};

/// Headers of one connection, which the next one sets for itself.
const OF_THE_CONNECTION: [&str; 4] = ["connection", "content-length", "host", "transfer-encoding"];

pub(crate) struct Gate {
    pub(crate) url: String,
    pub(crate) traps: Traps,
}

impl Gate {
    /// Stands before the platform at `url`.
    pub(crate) async fn before(url: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_mins(1)).build().unwrap();
        let (traps, url) = (Traps::default(), url.to_owned());
        let address = wire::serve(traps.clone(), move |request| {
            let (http, url) = (http.clone(), url.clone());
            async move { pass(&http, &url, request).await }
        });
        Self { url: format!("http://{}", address.await), traps }
    }
}

async fn pass(http: &reqwest::Client, url: &str, request: Request) -> Answer {
    let method = Method::from_bytes(request.method.as_bytes()).unwrap();
    let mut call = http.request(method, format!("{url}{}", request.target));
    for (name, value) in &request.headers {
        if !OF_THE_CONNECTION.contains(&name.as_str()) {
            call = call.header(name, value);
        }
    }
    let Ok(answer) = call.body(request.body).send().await else {
        return Answer { status: 502, ..Answer::default() };
    };
    let status = answer.status().as_u16();
    let headers = (answer.headers().iter())
        .filter(|(name, _)| !OF_THE_CONNECTION.contains(&name.as_str()))
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    match answer.bytes().await {
        Ok(body) => Answer { status, headers, body: body.to_vec() },
        Err(_) => Answer { status: 502, ..Answer::default() },
    }
}
