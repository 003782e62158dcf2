"""Hands out a memfd with given bytes as a node would hand out its region: to test readers against hostile regions.

usage: serve-region.py SOCKET FILE [unsealed|silent|garbage|writable]
"""
import fcntl, os, socket, struct, sys, time

F_ADD_SEALS, SHRINK, GROW, SEAL, FUTURE_WRITE = 1033, 2, 4, 1, 16
path, source = sys.argv[1:3]
mode = sys.argv[3] if len(sys.argv) > 3 else ""
data = open(source, "rb").read()
fd = os.memfd_create("hostile", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
os.write(fd, data)
if mode != "unsealed":
    fcntl.fcntl(fd, F_ADD_SEALS, SHRINK | GROW | FUTURE_WRITE | SEAL)
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen(8)
print("listening", flush=True)
while True:
    peer, _ = listener.accept()
    if mode == "silent":
        time.sleep(60)
    elif mode == "garbage":
        peer.sendall(b"HTTP/1.1 400 Bad")
    else:
        socket.send_fds(peer, [b"VOLLEYFD" + data[24:32]], [fd])
    peer.close()
