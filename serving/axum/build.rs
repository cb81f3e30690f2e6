//! Takes Swagger UI's two files out of the archive that a crate carries, for `docs_page.rs` to embed, and makes the code
//! of the gRPC messages for `grpc_messages.rs`.

use std::env;
use std::fs;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use prost::Message;
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
use zip::ZipArchive;

const FILES: [&str; 2] = ["swagger-ui.css", "swagger-ui-bundle.js"];

const PROTO: &str = "proto/open_inference.proto";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={PROTO}");
    let folder = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    unpack_swagger_ui(&folder);
    compile_messages(&folder);
}

fn unpack_swagger_ui(folder: &Path) {
    let mut archive = ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED)).expect("the crate holds a zip archive");
    for file in FILES {
        let ending = format!("/dist/{file}");
        let name =
            archive.file_names().find(|name| name.ends_with(&ending)).expect("the archive has the file").to_owned();
        let mut content = Vec::new();
        archive.by_name(&name).expect("it was found").read_to_end(&mut content).expect("it can be unpacked");
        fs::write(folder.join(file), content).expect("OUT_DIR can be written");
    }
}

/// The server's side only. A request for predictions stays the bytes that it is: `grpc_request.rs` reads them.
fn compile_messages(folder: &Path) {
    let descriptors = protox::compile([PROTO], ["proto"]).expect("the .proto file is right");
    fs::write(folder.join("open_inference.bin"), descriptors.encode_to_vec()).expect("OUT_DIR can be written");
    tonic_prost_build::configure()
        .build_client(false)
        .build_transport(false)
        .codec_path("crate::grpc_codec::MessageCodec")
        .extern_path(".inference.ModelInferRequest", "crate::grpc_codec::Unread")
        // the metadata is that of HTTP, where it is JSON
        .type_attribute(".inference.ModelMetadataResponse", "#[derive(serde::Deserialize)]")
        .type_attribute(".inference.ServerMetadataResponse", "#[derive(serde::Deserialize)]")
        .compile_fds(descriptors)
        .expect("code can be made of it");
}
