"""Files on disk.

atomic        replace a file whole, or leave it as it was
lock          let one process at a time write an output
tensor_file   a safetensors file with its metadata, version and SHA-256
file_types    recognise files that were named by mistake, from their first bytes
"""
