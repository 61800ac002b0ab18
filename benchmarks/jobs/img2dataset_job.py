"""img2dataset on the same URLs, in its own environment: `python img2dataset_job.py URLS FOLDER PROCESSES FORMAT`.

The square is cut from the centre at 224 pixels and stored in Parquet, its fastest store here, as JPEG of its default
quality or as PNG of its fastest level: it makes no tensors. Two processes for two cores; threads as its authors advise;
no second download of what failed.
"""

import sys

from img2dataset import download


def main(urls: str, folder: str, n_processes: str, encode_format: str) -> None:
    """Download and resize."""
    download(
        url_list=urls,
        input_format="txt",
        output_folder=folder,
        output_format="parquet",
        image_size=224,
        resize_mode="center_crop",
        resize_only_if_bigger=False,
        encode_format=encode_format,
        encode_quality={"jpg": 95, "png": 1}[encode_format],
        processes_count=int(n_processes),
        thread_count=32,
        number_sample_per_shard=1000,
        retries=0,
        enable_wandb=False,
        compute_hash=None,
        extract_exif=False,
        disallowed_header_directives=[],
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
