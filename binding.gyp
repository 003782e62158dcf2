{
  "variables": {
    "xxhash": "<!(node -p \"require('path').relative('.', require('path').dirname(require.resolve('xxhash-addon/package.json')))\")/xxHash"
  },
  "target_defaults": {
    "default_configuration": "Release"
  },
  "targets": [
    {
      "target_name": "volley",
      "sources": [
        "native/addon.cc",
        "native/busy_wait.cc",
        "native/fabric/connection.cc",
        "native/fabric/device_limits.cc",
        "native/fabric/domain.cc",
        "native/fabric/info.cc",
        "native/fabric/library.cc",
        "native/fabric/listener.cc",
        "native/fabric/remote_region.cc",
        "native/fabric/seal_sockets.cc",
        "native/fabric/survey.cc",
        "native/guest_memory.cc",
        "native/hand_out.cc",
        "native/hashtable.cc",
        "native/local_region.cc",
        "native/piece_writer.cc",
        "native/poller.cc",
        "native/reader.cc",
        "native/reader_thread.cc",
        "native/region.cc",
        "native/region_header.cc",
        "native/region_memory.cc",
        "native/region_start.cc",
        "native/region_view.cc",
        "native/verifier.cc",
        "native/objects/descriptor_limit.cc",
        "native/objects/duplicate.cc",
        "native/objects/fabric_object.cc",
        "native/objects/file.cc",
        "native/objects/guest_memory_object.cc",
        "native/objects/leave.cc",
        "native/objects/local_region_object.cc",
        "native/objects/poller_object.cc",
        "native/objects/reader_object.cc",
        "native/objects/region_object.cc",
        "native/objects/region_view_object.cc",
        "native/objects/remote_region_object.cc",
        "native/objects/send_now.cc",
        "native/objects/write_piece.cc",
        "native/transport/fabric.cc",
        "native/transport/fake.cc",
        "native/transport/local.cc",
        "native/transport/tcp.cc"
      ],
      "include_dirs": ["<!@(node -p \"require('node-addon-api').include\")"],
      "dependencies": ["xxhash"],
      "defines": ["NAPI_VERSION=8", "NAPI_CPP_EXCEPTIONS"],
      "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++17", "-std=gnu++20"],
      "cflags_cc": ["-std=c++20", "-Wall", "-Wextra", "-fvisibility=hidden"],
      "configurations": {
        "Debug": {
          "cflags": ["-Werror", "-g", "-O1", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"],
          "ldflags": ["-fsanitize=address,undefined"]
        }
      }
    },
    {
      # The hash of xxhash-addon, from the source it ships, so that both sides hash alike.
      "target_name": "xxhash",
      "type": "static_library",
      "sources": ["<(xxhash)/xxhash.c"],
      "include_dirs": ["<(xxhash)"],
      "direct_dependent_settings": { "include_dirs": ["<(xxhash)"] },
      "cflags": ["-O3", "-fPIC"],
      "conditions": [
        ["target_arch=='x64'", { "sources": ["<(xxhash)/xxh_x86dispatch.c"] }]
      ]
    }
  ]
}
